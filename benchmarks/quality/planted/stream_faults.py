"""Faults of the order between streams: a race of two streams that goes unseen, or one that is found where there is an order."""

from benchmarks.quality.planted.fault import Suite, faults_in

EMULATOR = "kernels/tinygan_kernels/emulator"

STREAMS = (
    *faults_in(
        f"{EMULATOR}/sanitizer/streams.py",
        ("the default stream waits for streams that are apart", "                if other not in self.apart:\n", "                if True:\n"),
        ("streams do not wait for the default stream", "        elif stream not in self.apart:\n            _join", "        elif False:\n            _join"),
        ("two atomic uses race", " or (self.atomic and other.atomic)", ""),
        ("an atomic use hides a plain one", "        if self.atomic and not other.atomic:\n            return False\n", ""),
        ("a destroyed stream is forgotten at once", "if host.get(s, 0) >= self.known[s].get(s, 0)]", "if True]"),
        ("gaps between elements are used", "    if size == array.size * array.itemsize and (array", "    if True or (array"),
    ),
    *faults_in(
        f"{EMULATOR}/host/script_order.py",
        ("a race is told again and again", "            self.streams.settle(own, old)\n", ""),
        ("the memory of arrays that are gone is still in use", "            self.streams.forget(start, end)\n", "            pass\n"),
        ("a block of the pool brings nothing with it", "            self.streams.uses += [use for use", "            _ = [use for use"),
        ("all threads have one default stream", "            self.thread.handle = -next(self.numbers)\n", "            self.thread.handle = -2\n"),
        ("the default stream is never done", "            self.streams.known[handle] |= self.streams.known[DEFAULT]\n", ""),
    ),
    *faults_in(
        f"{EMULATOR}/host/pool_blocks.py",
        ("a block is given to any stream", "free = self._free[stream, -(-(end - start) // UNIT)]", "free = self._free[0, -(-(end - start) // UNIT)]"),
        ("a block that may be in use is given first", "(i for i, (_, uses) in enumerate(free) if not uses)", "(i for i, (_, uses) in enumerate(free) if uses)"),
    ),
    *faults_in(
        f"{EMULATOR}/host/host_arrays.py",
        ("the host reads unseen", "    if not _is_view(found, self):\n", "    if False:\n"),
        ("the host reads what a mask leaves out", "            use.marks = marks\n", "            pass\n"),
    ),
    *faults_in(
        f"{EMULATOR}/host/numba_device.py",
        ("an event of Numba's is recorded nowhere", "        ORDER.recorded(number_of(event), self.own(number_of(stream)))\n", ""),
        ("pinned memory is not looked at", "        return [] if self.allocations.at(address) is None else [", "        return [] if True else ["),
    ),
    *faults_in(
        f"{EMULATOR}/cupy/effects.py",
        ("a part is the whole", "    return plain[parts if Ellipsis in parts else (*parts, ...)]", "    return plain"),
        ("an expression reads nothing", "name in _IN_PART or name.endswith(\"_like\") else taken", "True else taken"),
    ),
    *faults_in(
        f"{EMULATOR}/cupy/streams.py",
        ("a stream that is done is not waited for", '        refuse("cudaStreamQuery", self)\n        ORDER.host_waits(self.ptr)\n', '        refuse("cudaStreamQuery", self)\n'),
        ("a callback is called before its time", "    ORDER.host_waits(get_current_stream().ptr)\n    function()\n", "    function()\n"),
    ),
)  # fmt: skip

TESTS = tuple(f"tests/tinygan_kernels/emulator/test_{part}.py" for part in ("sanitizer_streams", "script_streams", "script_streams_pairs"))
SUITES = (Suite(STREAMS, TESTS),)
