"""Fine-tuning jobs: OpenAI's API over whatever cluster runs the trainer."""
