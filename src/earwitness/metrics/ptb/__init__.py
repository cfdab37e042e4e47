"""The Penn Treebank tokenizer that the standard captioning metrics use."""
