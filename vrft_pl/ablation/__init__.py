"""SFT against reinforcement, and any other arms, on the same rows and at a matched cost."""
