"""What runs inside the process of vLLM, in its own environment: this folder is on its path, and vrft_pl is not."""
