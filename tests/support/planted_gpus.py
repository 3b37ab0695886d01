"""C source of a GPU's driver to plant, and of a program that computes on it."""

from __future__ import annotations

# Who uses the GPU: a line `PID CONTEXT PERCENT` each, where the context is c (compute) or g (graphics).
USERS = "/run/lab-gpu-users"

# The calls, structures and numbers of NVIDIA's NVML API reference; one GPU, used by those whom USERS lists.
NVML = (
    r"""
#include <stdio.h>
#include <string.h>
#include <time.h>
typedef struct { char legacy[16]; unsigned domain, bus, device, id, sub; char bus_id[32]; } pci;
typedef struct { unsigned pid; unsigned long long memory; unsigned gpu, compute; } process;
typedef struct { unsigned pid; unsigned long long time; unsigned sm, mem, enc, dec; } sample;
typedef struct { unsigned pid, percent; char context; } user;
static int gpu;
static unsigned read_users(user *found, unsigned room) {
    unsigned count = 0;
    FILE *file = fopen(USERS, "r");
    if (!file) return 0;
    for (user *next = found; count < room; next++, count++)
        if (fscanf(file, "%u %c %u", &next->pid, &next->context, &next->percent) != 3) break;
    fclose(file);
    return count;
}
static int running(char context, unsigned *count, process *found) {
    user users[64];
    unsigned known = read_users(users, 64), many = 0, room = *count;
    for (unsigned i = 0; i < known; i++) {
        if (users[i].context != context) continue;
        if (many < room) {
            found[many].pid = users[i].pid; found[many].memory = 1ULL << 30; found[many].gpu = found[many].compute = 0xFFFFFFFF;
        }
        many++;
    }
    *count = many;
    return many > room ? 7 : 0;
}
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { *device = &gpu; return 0; }
int nvmlDeviceGetName(void *device, char *name, unsigned length) { strncpy(name, "NVIDIA A10", length); return 0; }
int nvmlDeviceGetPciInfo_v3(void *device, pci *info) { memset(info, 0, sizeof *info); info->bus = 1; return 0; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, process *found) { return running('c', count, found); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *count, process *found) { return running('g', count, found); }
/* A sample of each process of this moment, which none has been asked for yet. */
int nvmlDeviceGetProcessUtilization(void *device, sample *found, unsigned *count, unsigned long long since) {
    user users[64];
    unsigned known = read_users(users, *count < 64 ? *count : 64);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    memset(found, 0, known * sizeof *found);
    for (unsigned i = 0; i < known; i++) {
        found[i].pid = users[i].pid; found[i].sm = users[i].percent;
        found[i].time = now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
    }
    *count = known;
    return 0;
}
"""
).replace("USERS", f'"{USERS}"')

# A program that loads the libraries of its command line, and waits.
PROGRAM = r"""
#include <dlfcn.h>
#include <unistd.h>
int main(int count, char **arguments) {
    for (int i = 1; i < count; i++) if (!dlopen(arguments[i], RTLD_NOW)) return 1;
    for (;;) pause();
}
"""
