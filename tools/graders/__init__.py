"""Questions, completions and policies that rewards are tried on."""
