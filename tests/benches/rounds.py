"""Measuring in turn: a round asks everybody, one after another, so that what disturbs the machine disturbs all of them."""

import statistics

BATCH = 0.3  # seconds of CPU that one of a round should take, so that clocks and chance do not matter
MOST = 40  # pictures in a batch


def times_for(once):
    """How many pictures of `once` seconds each make a batch."""
    return max(1, min(MOST, round(BATCH / max(once, 1e-4))))


def cpu_rounds(contenders, jobs, rounds):
    """Seconds of CPU per picture: a list by name, one for each round. `jobs` says, by name, what each is to make."""
    times = {}
    for one in contenders:
        one.cpu(jobs[one.name], 1)  # Whatever is done once in a life is done now.
        times[one.name] = times_for(one.cpu(jobs[one.name], 1))
    spent = {one.name: [] for one in contenders}
    for index in range(rounds):
        for one in contenders if index % 2 == 0 else reversed(contenders):
            spent[one.name].append(one.cpu(jobs[one.name], times[one.name]))
    return spent


def ratios(ours, theirs):
    """Ours over theirs: median, least and greatest of the rounds."""
    return spread([our / their for our, their in zip(ours, theirs)])


def spread(values):
    return statistics.median(values), min(values), max(values)
