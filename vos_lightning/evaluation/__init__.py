"""Scores folders of results as the field does, reports them, and packs them for the servers; needs no Lightning."""
