// Output and files, as C's <stdio.h>. A function of a variable number of arguments is a template here that ends in NVRTC's printf:
// host_output says where the next text goes: a file, or HOST_MEMORY.
#pragma once
typedef struct host_file FILE;
#define stdin ((FILE*)1)
#define stdout ((FILE*)2)
#define stderr ((FILE*)3)
#define HOST_MEMORY ((FILE*)4)
#define EOF (-1)
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#define BUFSIZ 8192
extern "C" {
void host_output(FILE* file, char* buffer, size_t size);
int host_scan(FILE* file, const char* text, const char* format, void** targets);
FILE* fopen(const char* name, const char* mode);
int fclose(FILE* file);
int fflush(FILE* file);
size_t fread(void* to, size_t size, size_t count, FILE* file);
size_t fwrite(const void* from, size_t size, size_t count, FILE* file);
int fseek(FILE* file, long offset, int from);
long ftell(FILE* file);
int feof(FILE* file);
int fgetc(FILE* file);
char* fgets(char* to, int size, FILE* file);
int remove(const char* name);
void host_put(const char* text, FILE* file);
}
template <class... A> __noinline__ inline int fprintf(FILE* file, const char* format, A... a) {
    host_output(file, nullptr, 0);
    return printf(format, a...);
}
template <class... A> __noinline__ inline int snprintf(char* to, size_t size, const char* format, A... a) {
    host_output(HOST_MEMORY, to, size);
    return printf(format, a...);
}
template <class... A> __noinline__ inline int sprintf(char* to, const char* format, A... a) { return snprintf(to, (size_t)-1 >> 1, format, a...); }
template <class... A> __noinline__ inline int sscanf(const char* text, const char* format, A... a) {
    void* targets[] = {(void*)a..., nullptr};
    return host_scan(nullptr, text, format, targets);
}
template <class... A> __noinline__ inline int fscanf(FILE* file, const char* format, A... a) {
    void* targets[] = {(void*)a..., nullptr};
    return host_scan(file, nullptr, format, targets);
}
template <class... A> __noinline__ inline int scanf(const char* format, A... a) { return fscanf(stdin, format, a...); }
__noinline__ inline int fputs(const char* text, FILE* file) { host_put(text, file); return 0; }
__noinline__ inline int puts(const char* text) { host_put(text, stdout); host_put("\n", stdout); return 0; }
__noinline__ inline int fputc(int c, FILE* file) {
    unsigned char byte = (unsigned char)c;
    return fwrite(&byte, 1, 1, file) ? byte : EOF;
}
__noinline__ inline int putchar(int c) { return fputc(c, stdout); }
__noinline__ inline int putc(int c, FILE* file) { return fputc(c, file); }
__noinline__ inline int getchar() { return fgetc(stdin); }
__noinline__ inline int getc(FILE* file) { return fgetc(file); }
__noinline__ inline void rewind(FILE* file) { fseek(file, 0, SEEK_SET); }
__noinline__ inline int setvbuf(FILE*, char*, int, size_t) { return 0; }
__noinline__ inline void setbuf(FILE*, char*) {}
__noinline__ inline void perror(const char* text) { fprintf(stderr, "%s: failed\n", text); }
