"""Every measure of tinygan/measure/ beside an implementation that is not this project's, on the same samples."""
