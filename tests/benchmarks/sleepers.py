"""Fills the host with sleeping processes, as a context manager."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tables.host import Host
from tests.benchmarks.measure import Options, compile_c, helper

# Starts argv[1] programs of the system's that wait for a signal, and ends each by its pid when standard input ends: our own
# scratch folder is a place where any process is odd.
_SLEEPERS = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int wanted = argc > 1 ? atoi(argv[1]) : 0, started = 0, status = 0;
    pid_t *pids = calloc(wanted + 1, sizeof *pids);
    char byte;
    while (pids && started < wanted) {
        pid_t pid = fork();
        if (pid < 0) { perror("fork"); status = 1; break; }
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            execl("/bin/sleep", "sleep", "infinity", (char *) NULL);
            _exit(1);
        }
        pids[started++] = pid;
    }
    if (status == 0) {
        puts("ready");
        fflush(stdout);
        while (read(0, &byte, 1) > 0) {}
    }
    for (int i = 0; i < started; i++) kill(pids[i], SIGKILL);
    for (int i = 0; i < started; i++) waitpid(pids[i], NULL, 0);
    return status;
}
"""


@contextlib.contextmanager
def many_processes(options: Options, wanted: int) -> Iterator[int]:
    """At least `wanted` processes on this host; yields how many there are."""
    missing = wanted - len(Host().procfs.pids())
    if missing <= 0:
        yield len(Host().procfs.pids())
        return
    with helper([compile_c(options, "sleepers", _SLEEPERS), str(missing)]):
        yield len(Host().procfs.pids())
