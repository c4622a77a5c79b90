// CUDA graphs, as functions that the emulator carries out (program/graph_functions.py). A node is added by the function that would do
// its work at once, between host_cudaGraphPlace, which says where it belongs, and host_cudaGraphPlaced.
#pragma once
extern "C" {
cudaError_t host_cudaStreamBeginCapture(cudaStream_t stream, int mode);
cudaError_t host_cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t host_cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status);
cudaError_t host_cudaGraphCreate(cudaGraph_t* graph);
cudaError_t host_cudaGraphDestroy(cudaGraph_t graph);
cudaError_t host_cudaGraphClone(cudaGraph_t* clone, cudaGraph_t graph);
cudaError_t host_cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph);
cudaError_t host_cudaGraphExecDestroy(cudaGraphExec_t executable);
cudaError_t host_cudaGraphExecUpdate(cudaGraphExec_t executable, cudaGraph_t graph, int* result);
cudaError_t host_cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t host_cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count);
cudaError_t host_cudaGraphGetRootNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count);
cudaError_t host_cudaGraphGetEdges(cudaGraph_t graph, cudaGraphNode_t* before, cudaGraphNode_t* after, size_t* count);
cudaError_t host_cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type);
cudaError_t host_cudaGraphAddDependencies(cudaGraph_t graph, const cudaGraphNode_t* before, const cudaGraphNode_t* after, size_t count);
cudaError_t host_cudaGraphPlace(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t* needs, size_t count);
cudaError_t host_cudaGraphReplace(cudaGraphExec_t executable, cudaGraphNode_t node);
void host_cudaGraphPlaced();
cudaError_t host_cudaGraphEmpty();
cudaError_t host_cudaGraphChild(cudaGraph_t child);
}
template <class F>
inline cudaError_t host_graphAdd(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t* needs, size_t count, F work) {
    cudaError_t result = host_cudaGraphPlace(node, graph, needs, count);
    if (result == cudaSuccess) result = work();
    host_cudaGraphPlaced();
    return result;
}
template <class F> inline cudaError_t host_graphReplace(cudaGraphExec_t executable, cudaGraphNode_t node, F work) {
    cudaError_t result = host_cudaGraphReplace(executable, node);
    if (result == cudaSuccess) result = work();
    host_cudaGraphPlaced();
    return result;
}
// -- what nodes do -------------------------------------------------------------------------------------------------------------
inline cudaError_t host_graphKernel(const cudaKernelNodeParams* p) {
    return host_cudaLaunchKernel((const void*)p->func, p->gridDim.x, p->gridDim.y, p->gridDim.z, p->blockDim.x, p->blockDim.y,
                                 p->blockDim.z, p->kernelParams, p->sharedMemBytes, 0, 0, nullptr);
}
inline cudaError_t host_graphMemset(const cudaMemsetParams* p) {
    return host_cudaMemset2DAsync(p->dst, p->pitch, p->value, p->elementSize, p->width, p->height, 0, 0);
}
inline cudaError_t host_graphMemcpy(const cudaMemcpy3DParms* p) {
    if (p->srcArray || p->dstArray || p->extent.depth != 1 || p->srcPos.z || p->dstPos.z) return cudaErrorNotSupported;
    const char* from = (const char*)p->srcPtr.ptr + p->srcPos.y * p->srcPtr.pitch + p->srcPos.x;
    char* to = (char*)p->dstPtr.ptr + p->dstPos.y * p->dstPtr.pitch + p->dstPos.x;
    return host_cudaMemcpy2DAsync(to, p->dstPtr.pitch, from, p->srcPtr.pitch, p->extent.width, p->extent.height, p->kind, 0);
}
// -- the functions of the runtime ------------------------------------------------------------------------------------------------
inline cudaError_t host_graphCreate(cudaGraph_t* graph, unsigned = 0) { return host_cudaGraphCreate(graph); }
template <class... Any> inline cudaError_t host_graphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, Any...) {
    return host_cudaGraphInstantiate(executable, graph);
}
inline cudaError_t host_graphExecUpdate(cudaGraphExec_t executable, cudaGraph_t graph, cudaGraphExecUpdateResultInfo* info) {
    int result = 0;
    cudaError_t found = host_cudaGraphExecUpdate(executable, graph, &result);
    if (info) info->result = (cudaGraphExecUpdateResult)result;
    return found;
}
inline cudaError_t host_graphExecUpdate(cudaGraphExec_t executable, cudaGraph_t graph, cudaGraphNode_t*, cudaGraphExecUpdateResult* result) {
    return host_cudaGraphExecUpdate(executable, graph, (int*)result);
}
inline cudaError_t host_graphEdges(cudaGraph_t g, cudaGraphNode_t* before, cudaGraphNode_t* after, size_t* count) {
    return host_cudaGraphGetEdges(g, before, after, count);
}
inline cudaError_t host_graphDepend(cudaGraph_t g, const cudaGraphNode_t* before, const cudaGraphNode_t* after, size_t count) {
    return host_cudaGraphAddDependencies(g, before, after, count);
}
#if __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ >= 1203  // from there on edges have data
inline cudaError_t host_graphEdges(cudaGraph_t g, cudaGraphNode_t* before, cudaGraphNode_t* after, cudaGraphEdgeData*, size_t* count) {
    return host_cudaGraphGetEdges(g, before, after, count);
}
inline cudaError_t host_graphDepend(cudaGraph_t g, const cudaGraphNode_t* before, const cudaGraphNode_t* after, const cudaGraphEdgeData*,
                                    size_t count) {
    return host_cudaGraphAddDependencies(g, before, after, count);
}
#endif
inline cudaError_t host_graphAddKernel(cudaGraphNode_t* node, cudaGraph_t g, const cudaGraphNode_t* needs, size_t n,
                                       const cudaKernelNodeParams* p) {
    return host_graphAdd(node, g, needs, n, [=] { return host_graphKernel(p); });
}
inline cudaError_t host_graphAddMemset(cudaGraphNode_t* node, cudaGraph_t g, const cudaGraphNode_t* needs, size_t n, const cudaMemsetParams* p) {
    return host_graphAdd(node, g, needs, n, [=] { return host_graphMemset(p); });
}
inline cudaError_t host_graphAddMemcpy(cudaGraphNode_t* node, cudaGraph_t g, const cudaGraphNode_t* needs, size_t n, const cudaMemcpy3DParms* p) {
    return host_graphAdd(node, g, needs, n, [=] { return host_graphMemcpy(p); });
}
inline cudaError_t host_graphAddMemcpy1D(cudaGraphNode_t* node, cudaGraph_t g, const cudaGraphNode_t* needs, size_t n, void* to,
                                         const void* from, size_t bytes, int kind) {
    return host_graphAdd(node, g, needs, n, [=] { return host_cudaMemcpyAsync(to, from, bytes, kind, 0); });
}
inline cudaError_t host_graphAddHost(cudaGraphNode_t* node, cudaGraph_t g, const cudaGraphNode_t* needs, size_t n, const cudaHostNodeParams* p) {
    return host_graphAdd(node, g, needs, n, [=] { return host_cudaLaunchHostFunc(0, p->fn, p->userData); });
}
inline cudaError_t host_graphAddEmpty(cudaGraphNode_t* node, cudaGraph_t g, const cudaGraphNode_t* needs, size_t n) {
    return host_graphAdd(node, g, needs, n, [=] { return host_cudaGraphEmpty(); });
}
inline cudaError_t host_graphAddChild(cudaGraphNode_t* node, cudaGraph_t g, const cudaGraphNode_t* needs, size_t n, cudaGraph_t child) {
    return host_graphAdd(node, g, needs, n, [=] { return host_cudaGraphChild(child); });
}
inline cudaError_t host_graphSetKernel(cudaGraphNode_t node, const cudaKernelNodeParams* p) {
    return host_graphReplace(0, node, [=] { return host_graphKernel(p); });
}
inline cudaError_t host_graphExecSetKernel(cudaGraphExec_t executable, cudaGraphNode_t node, const cudaKernelNodeParams* p) {
    return host_graphReplace(executable, node, [=] { return host_graphKernel(p); });
}
inline cudaError_t host_graphExecSetMemset(cudaGraphExec_t executable, cudaGraphNode_t node, const cudaMemsetParams* p) {
    return host_graphReplace(executable, node, [=] { return host_graphMemset(p); });
}
inline cudaError_t host_graphExecSetMemcpy1D(cudaGraphExec_t executable, cudaGraphNode_t node, void* to, const void* from, size_t bytes, int kind) {
    return host_graphReplace(executable, node, [=] { return host_cudaMemcpyAsync(to, from, bytes, kind, 0); });
}
inline cudaError_t host_graphExecSetHost(cudaGraphExec_t executable, cudaGraphNode_t node, const cudaHostNodeParams* p) {
    return host_graphReplace(executable, node, [=] { return host_cudaLaunchHostFunc(0, p->fn, p->userData); });
}

#define cudaStreamBeginCapture host_cudaStreamBeginCapture
#define cudaStreamEndCapture host_cudaStreamEndCapture
#define cudaStreamIsCapturing host_cudaStreamIsCapturing
#define cudaGraphCreate host_graphCreate
#define cudaGraphDestroy host_cudaGraphDestroy
#define cudaGraphClone host_cudaGraphClone
#define cudaGraphInstantiate host_graphInstantiate
#define cudaGraphInstantiateWithFlags host_graphInstantiate
#define cudaGraphUpload host_nothing
#define cudaGraphLaunch host_cudaGraphLaunch
#define cudaGraphExecUpdate host_graphExecUpdate
#define cudaGraphExecDestroy host_cudaGraphExecDestroy
#define cudaGraphGetNodes host_cudaGraphGetNodes
#define cudaGraphGetRootNodes host_cudaGraphGetRootNodes
#define cudaGraphGetEdges host_graphEdges
#define cudaGraphNodeGetType host_cudaGraphNodeGetType
#define cudaGraphAddDependencies host_graphDepend
#define cudaGraphAddKernelNode host_graphAddKernel
#define cudaGraphAddMemsetNode host_graphAddMemset
#define cudaGraphAddMemcpyNode host_graphAddMemcpy
#define cudaGraphAddMemcpyNode1D host_graphAddMemcpy1D
#define cudaGraphAddHostNode host_graphAddHost
#define cudaGraphAddEmptyNode host_graphAddEmpty
#define cudaGraphAddChildGraphNode host_graphAddChild
#define cudaGraphKernelNodeSetParams host_graphSetKernel
#define cudaGraphExecKernelNodeSetParams host_graphExecSetKernel
#define cudaGraphExecMemsetNodeSetParams host_graphExecSetMemset
#define cudaGraphExecMemcpyNodeSetParams1D host_graphExecSetMemcpy1D
#define cudaGraphExecHostNodeSetParams host_graphExecSetHost
