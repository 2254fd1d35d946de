"""The fine-tuning program: LoRA by trl and peft, from chat-format JSONL to a GGUF adapter.

It runs in the trainer's own environment (`trainer.lock`) and imports nothing of the platform; the platform imports
nothing of it. They speak through files in the job's working folder and JSON lines on standard output (`report`).
"""
