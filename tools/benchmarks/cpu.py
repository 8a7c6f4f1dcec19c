"""CPU time of other processes, to print beside wall-clock figures. Standard library only: peers' scripts use it too."""

import time

_SCHEDULED = 2  # Linux's CPUCLOCK_SCHED: nanoseconds on a CPU, all threads of the process together


def seconds_of(pid: int) -> float:
    """CPU seconds that the process `pid` has used so far; 0 where the system does not tell."""
    try:
        return time.clock_gettime((~pid << 3) | _SCHEDULED)  # what clock_getcpuclockid(3) makes of a process id
    except OSError:
        return 0.0


class Stopwatch:
    """Wall-clock and CPU seconds of this process and one other, from its making on."""

    def __init__(self, other: int) -> None:
        self._other = other
        self._begun = time.perf_counter()
        self._cpu = time.process_time() + seconds_of(other)

    def read(self) -> tuple[float, float]:
        """Wall-clock seconds; CPU seconds of both processes together."""
        wall = time.perf_counter() - self._begun
        return wall, time.process_time() + seconds_of(self._other) - self._cpu
