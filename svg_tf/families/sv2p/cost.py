"""The least arithmetic of SV2P: multiply-adds of direct convolutions, matrix products and per-example kernels."""


def below(generator) -> int:
    """Of one step's levels before z."""
    g, sizes = generator, generator.level_sizes
    convs = [(g.enc0, 1), (g.enc1, 2), (g.enc2, 3)]
    return sum(conv.multiply_adds(*sizes[level]) for conv, level in convs) + _cells(g, range(4))


def above(generator) -> int:
    """Of one step's levels from z on, without what paints the frame."""
    g, sizes = generator, generator.level_sizes
    convs = [(g.enc3, 3), (g.enc4, 3), (g.enc5, 2)]
    return sum(conv.multiply_adds(*sizes[level]) for conv, level in convs) + _cells(g, range(4, 7))


def painting(generator) -> int:
    """Of one step's frame: the last level, the heads, and the blend of moved images by a kernel of each pixel's own."""
    g, c, sizes = generator, generator.config, generator.level_sizes
    height, width, channels = c.frame_shape
    heads = g.enc6.multiply_adds(*sizes[1]) + sum(conv.multiply_adds(*sizes[0]) for conv in (g.scratch, g.masks))
    blend = height * width * c.kernel_size**2 * (c.masks - 2 + channels)
    dense = g.kernels.kernel.shape[0] * g.kernels.kernel.shape[1]
    return heads + dense + blend


def tower(model) -> int:
    """Of one video's posterior."""
    if not model.stochastic:
        return 0
    sizes = model.generator.level_sizes
    convs = [*zip(model.tower.convs, (1, 2, 2), strict=True), *((head, 3) for head in model.tower.heads.values())]
    return sum(conv.multiply_adds(*sizes[level]) for conv, level in convs)


def training(model, steps: int) -> int:
    """Of one training sequence of `steps` frames, forward."""
    g = model.generator
    return tower(model) + (steps - 1) * (below(g) + above(g) + painting(g))


def sampling(model, n_past: int, n_future: int, n_samples: int) -> int:
    """Of n_samples futures of one sequence: what z does not reach once over the context; the context's frames are not painted."""
    g = model.generator
    each = above(g) * (n_past + n_future - 1) + painting(g) * n_future + below(g) * (n_future - 1)
    return below(g) * n_past + each * (n_samples if model.stochastic else 1)


def _cells(generator, numbers) -> int:
    return sum(generator.cells[i].multiply_adds(*generator.level_sizes[generator.cell_levels[i]]) for i in numbers)
