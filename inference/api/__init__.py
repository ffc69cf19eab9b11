"""HTTP: OpenAI's chat completions, the stream for the gateway, health and control."""
