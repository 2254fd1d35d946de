"""Fine-tuning jobs: OpenAI's API over a kind of job."""
