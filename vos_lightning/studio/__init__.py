"""The page in the browser: point at objects in a video, follow them, mend what went wrong, take the masks away."""
