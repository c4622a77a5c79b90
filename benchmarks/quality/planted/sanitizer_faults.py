"""Faults of the emulator's sanitizer: a check that misses what it is for, or finds what is not there."""

from benchmarks.quality.planted.fault import Suite, faults_in

FOLDER = "kernels/tinygan_kernels/emulator/sanitizer"

SANITIZER = (
    *faults_in(
        f"{FOLDER}/initialisation.py",
        ("only the first element of a wide read is checked", "for j in range(1, site.count):\n            bad |=", "for j in range(0):\n            bad |="),
        ("only the first element of a wide store is marked as written", "for j in range(site.count):\n                view", "for j in range(1):\n                view"),
        ("a store does not initialise", "                view[index + j] = 0", "                pass"),
    ),
    *faults_in(
        f"{FOLDER}/chunk.py",
        ("atomics may read what was never written", "        elif memory.unwritten is not None:", "        elif memory.unwritten is None:"),
        ("the end of a shared array is a byte later", "(address > extent.end - site.bytes)", "(address > extent.end - site.bytes + 1)"),
        ("a shared address is not the thread's own", "return position - self.machine.access.spaces[\"shared\"].start[lane]", "return position"),
        ("narrow accesses are tracked by words", "return 4 if all(s.size >= 4 for", "return 4 if any(s.size >= 4 for"),
        ("a fence tells nobody", "            self.messages.fence(wide, lanes)", "            pass"),
        ("a fence of the block is one of the device", "            self.messages.fence(wide, lanes)", "            self.messages.fence(True, lanes)"),
        ("a barrier orders nothing", "        self.order.block_barrier(complete)", "        pass"),
        ("a __syncwarp orders nothing", "        self.order.warp_sync(members, lanes)", "        pass"),
    ),
    *faults_in(
        f"{FOLDER}/races.py",
        ("reads are not noted", "            self._note_readers(records, at, stamp, lanes)\n", ""),
        ("writes are not noted", "            records.writer[at] = stamp\n", ""),
        ("writes do not look for readers", "                if readers is not None and not found:", "                if readers is not None and found:"),
        ("equal values are a race", "            late &= changes()", "            pass"),
        ("different values of one instruction are no race", "            lost &= value != value[last]", "            lost &= value == value[last]"),
        ("atomics within one instruction race", "            elif not strength.flags:", "            elif True:"),
        ("a thread races with itself", "            late &= (stamps ^ mine) & self.clock.who_mask != 0", "            pass"),
        ("barriers of a block order other blocks", "            late |= (stamps ^ mine) & self.clock.block_mask != 0", "            pass"),
        ("one strong access is enough", "both = stamps & mine & STRONG != 0", "both = (stamps | mine) & STRONG != 0"),
        ("the scope of a block reaches other blocks", "race = ~both | (elsewhere & (stamps & mine & WIDE == 0))", "race = ~both"),
        ("order is not looked at", "            race[race] = self.order.unordered(stamps[race], lanes[race])", "            pass"),
        ("only the last reader is kept", "                records.slot(table, kind)[at[chosen]] = old[chosen]", "                pass"),
        ("a reader in another block counts as one in this", "(SAME_BLOCK, (differs >= 32) & (differs < 1 << THREAD_BITS))", "(SAME_BLOCK, differs >= 32)"),
        ("the other thread is off by one", "machine.shape.thread(number & 1023)", "machine.shape.thread((number + 1) & 1023)"),
        ("an address is the chunk's and not the block's", "            address -= int(machine.access.spaces[\"shared\"].start[lane])", "            pass"),
        ("wide accesses touch their first granule", "for j in range(max(1, site.bytes // self.granule)):", "for j in range(1):"),
    ),
    *faults_in(
        f"{FOLDER}/order.py",
        ("threads know the future at a barrier", "self.floor[np.repeat(chosen, self.shape.stride)] = (time + 1) << self.clock.shift", "self.floor[np.repeat(chosen, self.shape.stride)] = (time + 99) << self.clock.shift"),
        ("a barrier of one block is everybody's", "        self.block_time[chosen] = time", "        self.block_time[:] = time"),
        ("lanes of a warp are always in order", "known |= warp & (time <= self.warp_time[lanes // WARP])", "known |= warp"),
        ("all lanes of a warp learn from a partial __syncwarp", "some = here & (named == mask) & (mask >> np.arange(WARP, dtype=\"u4\") & 1 != 0)", "some = here"),
        ("a partial __syncwarp is a whole one", "        self.warp_time[whole] = self.clock.now", "        self.warp_time[here.any(axis=1)] = self.clock.now"),
        ("who only arrived teaches nothing", "met = np.maximum.reduce([self._told_by(here), *(told for told, _ in arrived)])", "met = self._told_by(here)"),
        ("a barrier of some teaches all", "np.copyto(rows, np.maximum(rows, met[:, None, :]), where=here[:, :, None])\n        self._meet_inside", "np.copyto(rows, np.maximum(rows, met[:, None, :]))\n        self._meet_inside"),
        ("what a view knows is not looked at", "                if view is not None and view.knows(int(number[i]), int(time[i])):", "                if view is None:"),
        ("time stands still", "            self.now += 1\n", "            pass\n"),
    ),
    *faults_in(
        f"{FOLDER}/strength.py",
        ("an atomic is weak", "strong = atomic or bool(_STRONG & set(words))", "strong = bool(_STRONG & set(words))"),
        ("a volatile access is weak", '_STRONG = {"volatile", "relaxed",', '_STRONG = {"relaxed",'),
        ("every strong access reaches the device", '(WIDE if strong and "cta" not in words else 0)', "(WIDE if strong else 0)"),
        ("a release acquires", 'bool(ordered or "acquire" in words)', 'bool(ordered or {"acquire", "release"} & set(words))'),
        ("an acquire does not acquire", 'bool(ordered or "acquire" in words)', "bool(ordered)"),
        ("fences pass no message", "messages = any(s.acquires or s.releases or (fences and s.flags) for s in found)", "messages = any(s.acquires or s.releases for s in found)"),
    ),
    *faults_in(
        f"{FOLDER}/knowledge.py",
        ("a view forgets what it was joined from", "                    work += view.parts", "                    pass"),
        ("a view knows what comes later", "times.get(4 * thread + THREAD, 0) >= time", "times.get(4 * thread + THREAD, 0) >= 0"),
        ("two views are the first one", "    if len(some) < 2:\n", "    if len(some) < 99:\n"),
    ),
    *faults_in(
        f"{FOLDER}/findings.py",
        ("findings are handed over and raised", "    elif findings:\n", "    if findings:\n"),
        ("a second finding of a line is lost", "            self.findings[key].count += count\n", ""),
        ("checks stay off after their with", "        _ON.reset(tokens[0])\n        _SCHEDULES.reset(tokens[1])", "        _SCHEDULES.reset(tokens[1])"),
        ("sanitize leaves checks off", "_COLLECTED.set(findings), _ON.set(True)", "_COLLECTED.set(findings), _ON.set(_ON.get())"),
        ("all faults of a line are one", 'key = (tool, message.split(";")[0], site.line', "key = (site.line"),
    ),
)  # fmt: skip

# The quick ones first: they compile nothing.
PARTS = ("order", "messages", "meetings", "races", "marks", "addresses", "kernels", "findings", "bounds", "flags", "frames", "copies",
         "collectives", "corners")  # fmt: skip
TESTS = (*(f"tests/tinygan_kernels/emulator/test_sanitizer_{part}.py" for part in PARTS),
         "tests/tinygan_kernels/emulator/test_sanitizer.py", "tests/benchmarks/test_quality_planted_bugs.py")  # fmt: skip
SUITES = (Suite(SANITIZER, TESTS),)
