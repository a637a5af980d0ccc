"""Where datasets keep their videos, sequences and masks, and what they are called."""
