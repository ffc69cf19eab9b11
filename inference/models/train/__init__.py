"""How the embedded reader is made: `python -m inference.models.train`.

grid (what pages look like) and vocabulary (what answers are made of) are the ground; text and tasks
make examples, batch makes tensors of them, network and losses are what is trained, curriculum says
on what, loop does it. export writes an ordinary checkpoint, which evaluate reads with the engine.
"""
