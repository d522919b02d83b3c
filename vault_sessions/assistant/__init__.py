"""Who answers: a model behind an OpenAI-compatible server, or the offline assistant."""
