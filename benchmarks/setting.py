"""What everyone trains: the same decoder, on the same batches, in the same way.

Imports nothing, because interpreters with JAX and interpreters with torch read it.
"""

LAYERS = 3
HEAD_DIM = 16
FEED_FORWARD_MULTIPLE = 3
VOCABULARY = 256
SEQUENCE_LENGTH = 64
BATCH_SIZE = 16

STEPS = 200
WARMUP = 20
BETAS = (0.9, 0.95)
EPSILON = 1e-8
CLIP = 1.0
WEIGHT_DECAY = 0.1

# The width at which a learning rate is meant as it stands.
BASE_WIDTH = 16
LEARNING_RATE = 2.0**-6
LEARNING_RATES = tuple(2.0**k for k in range(-10, -1))

# The side of the square matrices whose product shows how fast a library multiplies at best.
PRODUCT = 2048
