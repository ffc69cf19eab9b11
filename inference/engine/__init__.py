"""The model: loading, seeing pages, filling KV slots, decoding and sampling.

Only `runner`, `cache`, `patches` and `load` import torch; `values`, `positions`, `sampling` and
`tokenizer` may be imported before the model is loaded.
"""
