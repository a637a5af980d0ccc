"""What is done to a dataset before training: check it, copy it small."""
