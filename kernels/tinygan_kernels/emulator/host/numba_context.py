"""numba(): inside of it, Numba CUDA programs run as they are, on the emulator in the place of a GPU."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.sanitizer.findings import checking, checks

from . import nvrtc
from .grid_sync import with_grid_sync
from .launch import check_sizes, run_kernel
from .numba_arguments import Arguments, described, scalar
from .numba_code import LoadedCode, LoadedKernel, registers
from .numba_core import CoreDevice, core_stream
from .numba_device import HostDriver
from .numba_lines import with_lines
from .numba_linking import core_error, linked_ptx, memsys_ptx, of_both_classes
from .numba_streams import NumbaLaunch, replacements
from .ptx_linking import joined

NEEDED = {
    "dispatcher": ("launch", "LaunchConfig", "_Kernel"),
    "driver": (
        "driver", "config", "ExperimentalDevice", "Stream", "_ActiveContext", "_to_core_stream", "load_module_image",
        "_alloc_finalizer", "_hostalloc_finalizer", "_pin_finalizer", "_event_finalizer", "_stream_finalizer", "_module_finalizer",
        "make_logger",
    ),
    "devices": ("_runtime", "_DeviceList"),
    "devicearray": ("_to_strided_memory_view", "_StridedMemoryViewShim", "_StridedLayoutShim"),
    "codegen": ("CUDACodeLibrary",),
}  # fmt: skip
"""What of Numba CUDA is replaced, by module; a version without it is refused."""


@contextmanager
def numba():
    """Run Numba CUDA on the emulator for the length of a `with` block, whether there is a GPU or not.

    Launches in brackets, eager signatures, `cuda.to_device`, `device_array`, `copy_to_host`, streams, events, pinned, mapped and
    managed arrays, `cuda.reduce`, `@vectorize` and `@guvectorize` for cuda are Numba's own code. Host arrays are passed without a
    copy. The device has compute capability 8.0 and one multiprocessor. `debug=True` raises what a kernel raises, `link=` takes CUDA
    C++ and PTX. What the sanitizer finds raises SanitizerError, as with every launch; kernels of Numba (of `cuda.reduce`) are not
    checked. Device arrays can be used in a later `with` block, not between two.

    Raises EmulatorError where Numba CUDA is missing or is too old for it, UnsupportedInstruction for what a kernel needs beyond the
    emulator.

        with emulator.numba():
            d = cuda.to_device(x)
            kernel.forall(x.size)(d, y)
    """
    device = _device()
    device.enter()
    try:
        yield
    finally:
        device.leave()


def numba_is_replaceable() -> bool:
    """Return whether the Numba CUDA that is installed has what `numba` replaces."""
    try:
        _parts()
    except EmulatorError:
        return False
    return True


def _parts() -> SimpleNamespace:
    """Return the modules of Numba CUDA that are changed. Raises EmulatorError where they lack something."""
    try:
        from numba.cuda import codegen, dispatcher
        from numba.cuda.cudadrv import devicearray, devices, driver
    except ImportError:
        raise EmulatorError(nvrtc.INSTALL) from None
    parts = SimpleNamespace(codegen=codegen, dispatcher=dispatcher, devicearray=devicearray, devices=devices, driver=driver)
    missing = [f"{name}.{what}" for name, names in NEEDED.items() for what in names if not hasattr(getattr(parts, name), what)]
    if missing:
        raise EmulatorError(f"emulator.numba() needs a newer numba-cuda ({', '.join(missing)} is missing): {nvrtc.INSTALL}")
    return parts


@cache
def _device() -> _Device:
    """Return the process's one emulated device."""
    device = _Device(_parts())
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=device.forked)
    return device


class _Device:
    """The emulated device: what takes the place of parts of Numba CUDA, put in at `enter` and taken out at `leave`."""

    def __init__(self, parts: SimpleNamespace):
        self.parts = parts
        self.host = HostDriver(parts.driver.binding)
        self.arguments = Arguments(parts)
        self.folder = str(Path(parts.dispatcher.__file__).parent)  # of Numba's own kernels, which are not the user's to mend
        self.depth, self.lock, self.saved = 0, threading.RLock(), []
        self.state = self.state_of_driver()
        self.attached, self.active = threading.local(), threading.local()
        self.devices: list = []
        self.queues: dict[int, object] = {}  # of what Numba puts off to free, by id
        self.runtime = {"_memsys_module": None, "_memsys": None, "_initialized": False}  # of the device, as attributes of `rtsys`

    def state_of_driver(self) -> dict:
        """Return the attributes of Numba's driver before it is first used; NUMBA_DISABLE_CUDA=1 disables it, as it does a GPU's."""
        driver, disabled = self.parts.driver.driver, bool(self.parts.driver.config.DISABLE_CUDA)
        error = driver.initialization_error if disabled else None
        return {"devices": type(driver.devices)(), "pid": None, "is_initialized": disabled, "initialization_error": error}

    # -- in and out -------------------------------------------------------------------------------------------------
    def enter(self) -> None:
        with self.lock:
            if self.depth == 0:
                try:
                    self._put_in()
                except BaseException as error:
                    self._take_out()
                    if isinstance(error, (KeyError, AttributeError)):
                        raise EmulatorError(f"this version of numba-cuda has no {error}; install one from 0.26 on") from error
                    raise
            self.depth += 1

    def leave(self) -> None:
        with self.lock:
            self.depth -= 1
            if self.depth == 0:
                self._take_out()

    def _put_in(self) -> None:
        parts, driver, config = self.parts, self.parts.driver.driver, self.parts.driver.config
        self.real = dict(driver.__dict__)
        driver.__dict__.clear()
        driver.__dict__.update(self.state)
        if not hasattr(parts.driver, "_logger"):  # which Numba makes when it first talks to a driver
            parts.driver._logger = parts.driver.make_logger()
        self.saved = []
        for owner, name, value in [
            *self._of_kernels(),
            *self._of_finalizers(),
            *self._of_runtime(),
            (config, "CUDA_LOW_OCCUPANCY_WARNINGS", 0),  # of a GPU's use, of copies to it
            (config, "CUDA_WARN_ON_IMPLICIT_COPY", 0),
            (parts.driver, "ExperimentalDevice", CoreDevice.of(self.host.context)),
            (parts.driver, "_to_core_stream", core_stream(parts.driver.Stream)),
            *replacements(parts, self.host),
            (parts.driver._ActiveContext, "_tls_cache", self.active),
            (parts.driver.Driver, "__getattr__", self.function()),
            (parts.driver.Context, "create_module_ptx", self.create_module_ptx()),
            (parts.devices._runtime, "_tls", self.attached),
            (parts.devices._DeviceList, "lst", property(lambda _: self._device_list())),
            (parts.devicearray, "_to_strided_memory_view", self.arguments.view),
            (parts.codegen.CUDACodeLibrary, "get_cufunc", self.get_cufunc()),
        ]:  # fmt: skip
            self.saved.append((owner, name, owner.__dict__[name]))
            setattr(owner, name, value)

    def _of_kernels(self) -> list[tuple]:
        """Return what is replaced of kernels: (owner, name, replacement)."""
        dispatcher = self.parts.dispatcher
        real_launch = dispatcher._Kernel.launch

        def launch(kernel, *args, **options):
            self.arguments.begin(args[0] if args else ())
            function = getattr(kernel, "py_func", None)
            of_numba = function is not None and function.__code__.co_filename.startswith(self.folder)
            with checks(checking() and not of_numba):
                return real_launch(kernel, *args, **options)

        return [
            (dispatcher, "launch", self.launch),
            (dispatcher, "LaunchConfig", SimpleNamespace),
            (dispatcher._Kernel, "launch", launch),
            (dispatcher._Kernel, "regs_per_thread", property(registers)),
            *with_lines(dispatcher),
        ]

    def _of_finalizers(self) -> list[tuple]:
        """Return what takes the place of Numba's finalizers, which put off what they do: the device may then be gone.

        Inside of `numba` that is put into Numba's queue, as on a GPU, which `leave` empties; outside it is done at once.
        """
        host, driver = self.host, self.parts.driver

        def later(queue, free, handle, size=driver._SizeNotSet) -> None:
            if self.depth:
                self.queues[id(queue)] = queue
                queue.add_item(free, handle, size)
            else:
                free(handle)

        def alloc(manager, pointer, key, size):
            return of_memory(manager, pointer, key, size, host.cuMemFree)

        def hostalloc(manager, pointer, key, size, mapped):
            return of_memory(manager, pointer, key, size if mapped else driver._SizeNotSet, host.cuMemFreeHost)

        def of_memory(manager, pointer, key, size, free):
            allocations, queue = manager.allocations, manager.deallocations

            def finish():
                allocations.pop(key, None)
                later(queue, free, pointer, size)

            return finish

        def pin(manager, pointer, key, _mapped):
            allocations = manager.allocations

            def finish():
                allocations.pop(key, None)
                host.cuMemHostUnregister(pointer)

            return finish

        return [
            (driver, "_alloc_finalizer", alloc),
            (driver, "_hostalloc_finalizer", hostalloc),
            (driver, "_pin_finalizer", pin),
            (driver, "_event_finalizer", lambda queue, event: lambda: later(queue, host.cuEventDestroy, int(event))),
            (driver, "_stream_finalizer", lambda queue, stream: lambda: later(queue, host.cuStreamDestroy, stream)),
            (driver, "_module_finalizer", lambda at, code: partial(later, at.deallocations, host.cuLibraryUnload, code.handle)),
        ]

    def _of_runtime(self) -> list[tuple]:
        """Return what is replaced of Numba's runtime, which counts what kernels allocate; [] where this Numba has none."""
        try:
            from numba.cuda.memory_management import nrt
        except ImportError:
            return []

        def compile_memsys(runtime) -> None:
            code = self.loaded(memsys_ptx(), "NRT_MemSys")
            runtime._memsys_module = self.parts.devices.get_context().create_module_image(code)

        return [
            (nrt._Runtime, "_compile_memsys_module", compile_memsys),
            (nrt, "launch", self.launch),
            (nrt, "LaunchConfig", SimpleNamespace),
            (nrt, "_to_core_stream", core_stream(self.parts.driver.Stream)),
            *((nrt.rtsys, name, value) for name, value in self.runtime.items()),
        ]

    def _take_out(self) -> None:
        for queue in self.queues.values():
            queue.clear()
        self.queues.clear()
        for owner, name, _ in self.saved:
            if name in self.runtime:
                self.runtime[name] = owner.__dict__[name]
        for owner, name, value in reversed(self.saved):
            setattr(owner, name, value)
        driver = self.parts.driver.driver
        self.state = dict(driver.__dict__)
        driver.__dict__.clear()
        driver.__dict__.update(self.real)

    def _device_list(self) -> list:
        if not self.devices:
            devices = self.parts.devices
            self.devices = [devices._DeviceContextManager(self.parts.driver.driver.get_device(0))]
        return self.devices

    # -- kernels ----------------------------------------------------------------------------------------------------
    def loaded(self, ptx: str, title: str = "", captured: dict | None = None) -> LoadedCode:
        """Load PTX text as a module of the device."""
        code = LoadedCode(ptx, title, next(self.host.handles), captured or {})
        self.host.modules[code.handle] = code
        return code

    def function(self):
        """Return what takes the place of Driver.__getattr__: it finds a function of the driver, which the first one starts."""

        def function(driver, name: str):
            if not name.startswith("cu"):
                raise AttributeError(name)
            if not hasattr(self.host, name):
                raise EmulatorError(f"the emulated device has no {name}")
            if name != "cuInit":
                driver.ensure_initialized()
                driver._detect_fork()
            if driver.initialization_error is not None:
                raise self.parts.driver.CudaSupportError(f"Error at driver init: \n{driver.initialization_error}:")
            driver.__dict__[name] = getattr(self.host, name)
            return driver.__dict__[name]

        return function

    def forked(self) -> None:
        """In the child of a fork, let Numba look functions up again, and refuse them as on a GPU that the parent has begun to use.

        A child that was begun outside of `numba` has a driver of its own.
        """
        if self.depth:
            driver = self.parts.driver.driver
            for name in [name for name in driver.__dict__ if name.startswith("cu")]:
                del driver.__dict__[name]
        else:
            self.state = self.state_of_driver()

    def create_module_ptx(self):
        """Return what takes the place of Context.create_module_ptx."""

        def create_module_ptx(context, ptx):
            return context.create_module_image(self.loaded(ptx.decode() if isinstance(ptx, bytes) else ptx))

        return create_module_ptx

    def get_cufunc(self):
        """Return what takes the place of CUDACodeLibrary.get_cufunc: it links PTX and loads the result here."""
        devices = self.parts.devices

        def get_cufunc(library):
            if library._entry_name is None:
                raise RuntimeError("Missing entry_name - are you trying to get the cufunc for a device function?")
            found = library._cufunc_cache.get("emulated")
            if found is None:
                texts = [*library.get_asm_strs(), *map(linked_ptx, library._linking_files)]
                code = self.loaded(with_grid_sync(joined(texts))[0], library._name, library.referenced_objects)
                module = devices.get_context().create_module_image(code, library._setup_functions, library._teardown_functions)
                found = library._cufunc_cache["emulated"] = module.get_function(library._entry_name)
            return found

        return get_cufunc

    def launch(self, stream, config, kernel: LoadedKernel, *args) -> None:
        """Run a kernel; it takes the place of cuda.core.launch. args: as Numba's calling convention flattens them."""
        cooperative = bool(getattr(config, "is_cooperative", False) or getattr(config, "cooperative_launch", False))
        passed, copies, given, waits = self.arguments.taken()
        order = NumbaLaunch(self.host, stream, kernel.translated.title, given)
        values = tuple(scalar(a) for a in args)
        arrays = [(array, f"the array of {described(array)} at {address:#x}") for address, array in passed]
        captured = [each.__cuda_array_interface__["data"][0] for each in kernel.code.captured]
        kept = [int(v.data.view("u8")[0]) for v in kernel.code.variables.values() if v.data.size == 8]  # pointers, it may be
        for address in [*(int(v) for v in values if v.dtype in (np.int64, np.uint64) and v > 0), *captured, *kept]:
            memory = self.host.allocations.at(address)
            if memory is not None:
                arrays.append((memory, f"device memory at {memory.__array_interface__['data'][0]:#x}"))
        try:
            check_sizes(kernel.translated, config.grid, config.block, config.shmem_size)
        except EmulatorError as error:
            raise of_both_classes(EmulatorError, core_error("CUDAError"), f"CUDA_ERROR_INVALID_VALUE: {error}") from None
        where = kernel.code.variables, config.grid, config.block
        touched = order.touched if order.wanted else None
        run_kernel(kernel.translated, *where, values, config.shmem_size, arrays, cooperative, touched=touched)
        for original, copy in copies:
            original[...] = copy
        order.ended(waits)
