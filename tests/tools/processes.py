"""Starts, watches and ends processes for bin/with-cluster: nothing outlives it, and no wait is without a bound."""
import ctypes
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
STOP_LIMIT, COMMAND_STOP_LIMIT = 10, 30  # seconds between asking and killing
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # from linux/prctl.h
LIBC = ctypes.CDLL(None)

started = []  # every Component
ours = set()  # pids that subprocess.Popen collects; any other child is an orphan of COMMAND


class Failed(Exception):
    """Something did not start; the message says what. With a log, its last lines are shown."""

    def __init__(self, message, log=None):
        super().__init__(message)
        self.log = log


class Stopped(Exception):
    """A signal asked us to stop."""

    def __init__(self, info):
        super().__init__()
        self.signal = info.si_signo
        # A terminal sends its signals to COMMAND as well; a person's kill reaches this process alone.
        self.by_terminal = info.si_code > 0


def say(message):
    try:
        print(f"with-cluster: {message}", file=sys.stderr, flush=True)
    except OSError:
        pass  # The terminal has gone; what is left to do must still be done.


def show_tail(log, lines=15):
    for line in log.read_text(errors="replace").splitlines()[-lines:]:
        say(f"  | {line}")


def take_over_orphans():
    """From now on a process whose parent ends becomes our child, so that we can end it too."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent, death_signal):
    LIBC.prctl(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:
        os._exit(1)


def before_exec(death_signal):
    """What a child does before it becomes another program: it dies with us, and inherits no blocked signals."""
    parent = os.getpid()

    def prepare():
        die_with(parent, death_signal)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
    return prepare


def pause(seconds):
    """Sleeps, less long when a child ends. Signals are looked at here only, so they leave nothing half done."""
    info = signal.sigtimedwait(SIGNALS | {signal.SIGCHLD}, seconds)
    if info and info.si_signo in SIGNALS:
        raise Stopped(info)


def wait_until(what, ready, limit, watched=()):
    """Polls until ready() is true; fails as soon as one of the watched components has ended."""
    deadline = time.monotonic() + limit
    while not ready():
        for component in watched:
            if component.process.poll() is not None:
                raise Failed(f"{component.name} {ending(component.process.returncode)} at start", component.log)
        if time.monotonic() > deadline:
            raise Failed(f"waited {limit} s for {what} in vain", watched[-1].log if watched else None)
        pause(0.05)


def ending(code):
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"


class Component:
    def __init__(self, name, arguments, data, environment, output=None):
        self.name, self.log, self.reported = name, data / f"{name}.log", False
        with open(self.log, "wb") as log:
            try:
                # In a session of its own, so that a Ctrl-C reaches it through us, in order.
                self.process = subprocess.Popen(
                    [str(argument) for argument in arguments], stdin=subprocess.DEVNULL, stdout=output or log,
                    stderr=log, cwd=data, env=environment, start_new_session=True,
                    preexec_fn=before_exec(signal.SIGKILL))
            except OSError as error:
                raise Failed(f"cannot start {name}: {arguments[0]}: {(error.strerror or str(error)).lower()}") from error
        ours.add(self.process.pid)
        started.append(self)

    def stop(self):
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            say(f"{self.name} did not stop within {STOP_LIMIT} s and is killed")
            self.process.kill()
            self.process.wait()


def stop_all():
    for component in reversed(started):
        component.stop()


def report_dead(components):
    for component in components:
        if component.process.poll() is not None and not component.reported:
            component.reported = True
            say(f"{component.name} {ending(component.process.returncode)} while the command ran; its last lines:")
            show_tail(component.log, 5)


def run_command(command, environment, watch=lambda: None, output=None, signal_for=lambda number: number):
    """Runs a program on our terminal; its exit code. A signal is passed on, and the program has a while to end."""
    try:
        process = subprocess.Popen(command, env=environment, stdout=output, preexec_fn=before_exec(signal.SIGTERM))
    except OSError as error:
        say(f"cannot run \"{command[0]}\": {(error.strerror or str(error)).lower()}")
        return 127 if isinstance(error, FileNotFoundError) else 126
    ours.add(process.pid)
    deadline = None
    while process.poll() is None:
        try:
            pause(1)
        except Stopped as stopped:
            if not stopped.by_terminal:
                pass_on(signal_for(stopped.signal), process)
            deadline = deadline or time.monotonic() + COMMAND_STOP_LIMIT
        if deadline and time.monotonic() > deadline:
            say(f"\"{command[0]}\" did not stop within {COMMAND_STOP_LIMIT} s of the signal and is killed")
            process.kill()
            process.wait()
        orphans()
        watch()
    return 128 - process.returncode if process.returncode < 0 else process.returncode


def pass_on(number, process):
    """A SIGINT goes to all descendants, as from a terminal: a shell alone would wait for its child before it heeds it."""
    targets = [process.pid]
    table = process_table() if number == signal.SIGINT else {}
    for target in targets:  # grows while it is walked: parents come before their children
        targets += [pid for pid, (parent, _) in table.items() if parent == target]
    for pid in targets:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # It has just ended.


def process_table():
    """Parent and state of every process, by pid."""
    table = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        table[int(folder.name)] = int(parent), state
    return table


def orphans():
    """The pids of the orphans we took over; those that have ended are collected."""
    found = []
    for pid, (parent, state) in process_table().items():
        if parent != os.getpid() or pid in ours:
            continue
        if state == "Z":
            os.waitpid(pid, os.WNOHANG)
        else:
            found.append(pid)
    return found


def stop_orphans():
    """Ends what COMMAND left running: politely, after 3 s by force. The end of a parent brings its children to us."""
    asked, began = set(), time.monotonic()
    while left := orphans():
        waited = time.monotonic() - began
        if waited > STOP_LIMIT:
            return say(f"could not end the processes {left} within {STOP_LIMIT} s")
        for pid in left:
            if waited > 3:
                os.kill(pid, signal.SIGKILL)
            elif pid not in asked:
                os.kill(pid, signal.SIGTERM)
                asked.add(pid)
        time.sleep(0.05)
    return None


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port(taken=set()):
    """A port that is free, and below those from which the system serves outgoing connections."""
    for _ in range(1000):
        port = random.randrange(10000, 32000)
        if port in taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        taken.add(port)
        return port
    raise Failed("found no free port from 10000 to 31999 on 127.0.0.1")
