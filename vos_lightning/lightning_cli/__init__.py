"""`fit`, `validate`, `test` and `predict`: Lightning's command line over all tasks and datamodules."""
