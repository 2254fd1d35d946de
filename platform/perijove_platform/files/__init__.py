"""The files manager: files and resumable uploads as in OpenAI's API."""
