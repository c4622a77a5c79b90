// A scope in which host code stands for a kernel, and so may touch the device's memory. In kernels it is nothing.
#pragma once
#if HOST_CODE
extern "C" void host_enter_device();
extern "C" void host_leave_device();
struct host_device_scope {
    host_device_scope() { host_enter_device(); }
    ~host_device_scope() { host_leave_device(); }
};
#define HOST_DEVICE_SCOPE host_device_scope host_scope;
#else
#define HOST_DEVICE_SCOPE
#endif
