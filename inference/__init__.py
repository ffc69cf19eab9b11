"""The embedded inference process: Cairo pages read by a vision-language model."""
