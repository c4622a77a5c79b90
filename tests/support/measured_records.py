"""Small records of measurements, as the scripts of benchmarks/ write them, of which the tables of the docs can be made."""

STAMP = {"cpu": "a CPU", "cores": 2, "python": "3.11", "versions": {"numpy": "2.4"}, "commit": "abc", "date": "2026-01-01"}


def small_record():
    """Return a record of presets.json: rows of two runs and of one, some that diverged, of mixtures and of digits."""
    mixture = {"seconds": 40.0, "steps": 100, "alarm_collapse": 0.0, "looks": 30, "looks_collapsed": 1, "modes": 8, "hq": 0.975,
               "reverse_kl": 0.004, "jsd": 0.01}
    other = {**mixture, "modes": 7, "hq": 0.985, "reverse_kl": 0.002}
    digits = {"seconds": 50.0, "steps": 200, "alarm_collapse": 1.0, "looks": 30, "looks_collapsed": 3, "precision": 0.95,
              "recall": 0.87, "density": 1.2, "coverage": 0.98, "frechet_pca32": 0.51}
    return {"stamp": STAMP, "tables": {
        "results": [row_of("ring", "best", mixture, other), row_of("grid", "best", mixture, other),
                    row_of("digits", "best", digits)],
        "pacgan": [row_of("ring", "pacgan-gan", mixture)],
        "remedies": [row_of("ring", "pack", mixture, other, diverged=1), row_of("grid", "pack", diverged=3),
                     row_of("ring", "r2", mixture)],
    }}


def row_of(data, preset, *runs, diverged=0, commits=("abc",)):
    """Return a row whose seeds ran on the commits, in turn as many on each as there are, but for the last, which has the others."""
    seeds = len(runs) + diverged
    stamps = [{**STAMP, "commit": commit, "seeds": 1} for commit in commits]
    stamps[-1]["seeds"] += seeds - len(commits)
    return {"data": data, "preset": preset, "runs": list(runs), "diverged": diverged, "stamps": stamps}


def steps_of_sides(sides, **more):
    """Return a workload of gan_step.json. sides: the milliseconds of each side's step."""
    workload = {"sides": {name: {"median": ms} for name, ms in sides.items()}, "best_peer": "torch", "ratio": 2.5}
    return {**workload, "share_of_floor": 0.5, **more}


def with_densities(record):
    """Return the record with widths in its runs of mixtures: others in the second run of a row than in its first."""
    shapes = ({"std_ratio_min": 0.3, "std_ratio_max": 0.62, "shift_max": 0.4, "exact_jsd": 0.002, "mmd_p": 0.05},
              {"std_ratio_min": 0.28, "std_ratio_max": 0.5, "shift_max": 0.44, "exact_jsd": 0.004, "mmd_p": 0.055})
    for rows in record["tables"].values():
        for row in rows:
            row["runs"] = [{**run, **shape} if "modes" in run else run for run, shape in zip(row["runs"], shapes, strict=False)]
    return record


def density_record():
    """Return a record of density.json, with a seed that is worse than the other and rows of the ablation."""
    run = {"steps": 100, "modes": 8, "hq": 0.98, "reverse_kl": 0.0012, "exact_reverse_kl": 0.0014, "jsd": 0.0046,
           "exact_jsd": 0.001, "std_ratio_min": 0.94, "std_ratio_max": 1.05, "shift_max": 0.15, "mmd_p": 0.055}
    worse = {**run, "modes": 7, "hq": 0.96, "std_ratio_min": 0.41, "std_ratio_max": 0.8, "jsd": 0.2}
    return {"stamp": STAMP, "tables": {
        "density": [row_of("ring", "density", run, worse, commits=("abc", "def"))],
        "ablation": [row_of("ring", "no R2", run, worse, run, commits=("abc", "def")), row_of("ring", "all of it", diverged=1)],
    }}
