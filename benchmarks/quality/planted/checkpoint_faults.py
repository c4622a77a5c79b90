"""Faults of checkpoints: what is written, what is believed, and what is refused."""

from benchmarks.quality.planted.fault import Suite, faults_in

CHECKPOINTS = (
    *faults_in(
        "tinygan/training/checkpoint.py",
        ("the checksum leaves the numbers out", "        found.update(array.tobytes())\n", ""),
        ("the checksum leaves the state out", "found = hashlib.sha256(text.encode())", "found = hashlib.sha256()"),
        ("the checksum leaves names and shapes out", '        found.update(f"{name} {array.dtype} {array.shape}".encode())\n', ""),
        ("the checksum is not looked at", 'if digest(arrays, header["state"]) != header["sha256"]:', "if not digest(arrays, header[\"state\"]):"),
        ("equal states differ in bytes", "_in_order(to_bytes(packed, metadata=header))", "to_bytes(packed, metadata=header)"),
        ("the state's order is that of a dictionary", "text = json.dumps(state, sort_keys=True)\n    if problem", "text = json.dumps(state)\n    if problem"),
        ("other byte orders are written as they lie", 'dtype=array.dtype.newbyteorder("=")', "dtype=array.dtype"),
        ("a newer format is read", "if version and int(version[1]) > VERSION:", "if version and int(version[1]) > VERSION + 1:"),
        ("any safetensors file is a checkpoint", 'if not version or not {"state", "sha256"} <= set(header):', 'if not {"state", "sha256"} <= set(header):'),
        ("depth is not limited", "    if depth_of(text) > MOST_DEPTH:\n", "    if depth_of(text) > 10**9:\n"),
        ("the state's size is not limited", "    if len(text) > MOST_TEXT:\n", "    if len(text) > 10**12:\n"),
        ("brackets in strings count", """r'"[^"\\\\]*(?:\\\\.[^"\\\\]*)*"?|[\\[{]|[\\]}]'""", "r'[\\[{]|[\\]}]'"),
        ("a list passes for a state", "    if not isinstance(state, dict):\n        raise CheckpointError(f\"{path}: its state is no record", "    if not isinstance(state, (dict, list)):\n        raise CheckpointError(f\"{path}: its state is no record"),
        ("another file of a folder passes for its checkpoint", "if run.name != CHECKPOINT:", "if not run.name:"),
        ("arrays begin anywhere", '    text += b" " * (-len(text) % 8)', '    text += b" " * (-len(text) % 8 + 1)'),
    ),
    *faults_in(
        "tinygan/training/state.py",
        ("a step may be negative", "not 0 <= value <= most:", "not value <= most:"),
        ("True is a whole number", "if isinstance(value, bool) or not isinstance(value, int) or not 0", "if not isinstance(value, int) or not 0"),
        ("a step may lie past the run", "if state.step > state.config.steps:", "if state.step > state.config.steps + 1:"),
        ("any bit generator is made", "        if kind not in GENERATORS:\n", "        if kind == \"nothing\":\n"),
        ("a generator's state is not compared", "if not _same_json(state_of_generator(generator), state):", "if state is None:"),
        ("1 and True are the same", "return type(one) is type(other) and one == other", "return one == other"),
        ("unknown parts are ignored", "if odd := next((name for name in record if name not in known), None):", "if odd := None:"),
        ("the data are not compared", "return self.codec == dataset.codec and self.data == checksum_of(dataset)", "return self.codec == dataset.codec"),
        ("the units of the data are not compared", "return self.codec == dataset.codec and self.data == checksum_of(dataset)",
         "return self.data == checksum_of(dataset)"),
        ("shapes are not compared", "if array.shape != tuple(other.shape):", "if array.size != np.prod(other.shape):"),
        ("dtypes are not compared", "        if array.dtype != other.dtype:\n", "        if array.dtype.kind != other.dtype.kind:\n"),
        ("infinities are taken", "if not np.isfinite(array).all():", "if np.isnan(array).any():"),
        ("arrays besides those wanted are taken", "dict.fromkeys((*wanted, *found))", "dict.fromkeys(wanted)"),
        ("a network past the file is built", "if weights > numbers + WORTH_BUILDING:", "if weights > 10**6 * numbers + WORTH_BUILDING:"),
        ("D counts where samples are drawn", "weights[: 1 + of_d]", "weights"),
        ("blueprints are not checked", "            check_blueprint(value[name])\n", "            pass\n"),
        ("one optimiser is enough", "not isinstance(optimisers, list) or len(optimisers) != 2:", "not isinstance(optimisers, list) or len(optimisers) > 2:"),
        ("arrays of a generator's state lose their dtype", "np.array(value, template.dtype)", "np.array(value)"),
    ),
)  # fmt: skip

SUITES = (Suite(CHECKPOINTS, (
    "tests/tinygan/training/test_state.py", "tests/tinygan/training/test_checkpoint.py", "tests/tinygan/training/test_resume.py",
    "tests/tinygan/training/test_state_limits.py", "tests/attack/test_checkpoints.py",
)),)  # fmt: skip
