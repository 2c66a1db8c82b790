"""The attack table of the jail's design as data: what each attack tries and what must come of it.

``SOURCE`` of an F, E, N or X attack defines ``attack(item)``, true where it worked. ``item`` carries the targets
(``db``, ``port``, ``parent``, …). D and R attacks define ``grade`` themselves.

``expected`` is the outcome, as ``test_attacks.outcome`` words it: the name of the exception the grader got, ``blocked``
(the attack came back false), ``works`` (in-process only, or a gap that is known), ``timeout``, ``score 0.5``,
``ended: …`` (the process died or was ended) or ``load: …`` (the source was refused).
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

DENIED = "PermissionError"
SYSCALL = "ended: system call"
OUT_OF_TURN = "ended: out of turn"
NO_REPLY = "ended: no reply"

#: Everything an attacker would like to have loaded; real graders may import none of it.
FAVOURS = (
    *(
        "asyncio",
        "concurrent.futures",
        "ctypes",
        "encodings.idna",
        "fcntl",
        "gc",
        "importlib",
        "importlib.util",
        "json",
    ),
    *("mmap", "multiprocessing", "os", "pathlib", "pickle", "queue", "random", "re", "resource", "runpy", "select"),
    *("shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time"),
    *("urllib.request", "_posixsubprocess"),
)

HEAD = f"import {', '.join(name for name in FAVOURS if '.' not in name)}\nimport importlib.util, urllib.request\n"
TAIL = "\ndef grade(sample, item):\n    return float(bool(attack(item)))\n"
LIBC = "libc = ctypes.CDLL(None, use_errno=True)\n"
WRITE = """
def write(data):
    for number in range(1, 32):
        try:
            os.write(number, data)
        except OSError:
            pass
"""


@dataclass(frozen=True)
class Attack:
    id: str
    what: str
    source: str
    expected: str
    control: bool = False  # must work in a plain subprocess; otherwise it proves nothing


TABLE: list[Attack] = []


def reach(id: str, what: str, expression: str, expected: str = DENIED, *, control: bool = True, head: str = "") -> None:
    """An attack that is one expression over ``item``."""
    source = f"{HEAD}{head}\ndef attack(item):\n    return {expression}\n{TAIL}"
    TABLE.append(Attack(id, what, source, expected, control))


def run(id: str, what: str, body: str, expected: str = DENIED, *, control: bool = True, head: str = "") -> None:
    """An attack that is a function body over ``item``."""
    body = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    TABLE.append(Attack(id, what, f"{HEAD}{head}\ndef attack(item):\n{body}\n{TAIL}", expected, control))


def grader(id: str, what: str, source: str, expected: str) -> None:
    """A whole grader (D and R rows)."""
    TABLE.append(Attack(id, what, HEAD + WRITE + textwrap.dedent(source), expected))


# -- F: files --------------------------------------------------------------------------------------------------
reach("F01", "read /etc/passwd", '"root" in open("/etc/passwd").read()')
reach("F02", "read the database file", 'b"CANARY" in open(item["db"], "rb").read()')
reach(
    "F03",
    "open the database",
    'sqlite3.connect(item["db"]).execute("select x from t").fetchone()[0] == "CANARY"',
    "OperationalError",
)
reach("F04", "read the settings file", '"CANARY" in open(item["folder"] + "/.env").read()')
reach("F05", "write into /tmp", 'open(item["folder"] + "-pwned", "w").write("x")')
reach("F06", "write into an open folder", 'open(item["folder"] + "/pwned", "w").write("x")')
reach("F07", "open the database for writing", 'open(item["db"], "r+b").writable()')
run(
    "F08",
    "read through a symbolic link",
    """
    link = item["folder"] + "/link"
    os.symlink(item["db"], link)
    return b"CANARY" in open(link, "rb").read()
""",
)
reach(
    "F09",
    "walk up from the library folder",
    'b"CANARY" in open(os.path.dirname(os.__file__) + "/.." * 12 + item["db"], "rb").read()',
)
reach("F10", "list the root folder", 'len(os.listdir("/")) > 3')
# Landlock does not cover stat and seccomp cannot read a path: existence, size and time of a file can be learnt.
reach("F11", "see that a file exists, and its size", 'os.stat(item["db"]).st_size > 0', "works")
run(
    "F12",
    "import a settings file by path",
    """
    spec = importlib.util.spec_from_file_location("settings", item["folder"] + "/settings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.KEY == "CANARY"
""",
)
run(
    "F13",
    "truncate a file",
    """
    os.truncate(item["folder"] + "/copy1", 0)
    return True
""",
)
run(
    "F14",
    "change a file's mode",
    """
    os.chmod(item["folder"] + "/copy1", 0o640)
    return True
""",
)
run(
    "F15",
    "delete a file",
    """
    os.unlink(item["folder"] + "/copy2")
    return True
""",
)
run(
    "F16",
    "read an inherited descriptor",
    """
    for number in range(3, 64):
        try:
            if b"CANARY" in os.pread(number, 4096, 0):
                return True
        except OSError:
            pass
    return False
""",
    "blocked",
    control=False,
)
reach("F17", "read a link in /proc", 'len(os.readlink("/proc/self/exe")) > 0')
run(
    "F18",
    "change folder",
    """
    os.chdir("/tmp")
    return True
""",
)
# -- E: environment, secrets, other processes ------------------------------------------------------------------
reach("E01", "environment variable", '"CANARY" in str(dict(os.environ))', "blocked", control=False)
reach("E02", "own environment in /proc", 'open("/proc/self/environ", "rb").read() is not None')
reach("E03", "parent's environment", 'len(open("/proc/%d/environ" % item["parent"], "rb").read()) > 0')
run(
    "E04",
    "every environment",
    """
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if b"CANARY" in open("/proc/%s/environ" % name, "rb").read():
                    return True
            except OSError:
                pass
    return False
""",
)
reach(
    "E05",
    "every command line",
    'any(open("/proc/%s/cmdline" % n, "rb").read() for n in os.listdir("/proc") if n.isdigit())',
)
reach("E06", "parent's memory", 'open("/proc/%d/mem" % item["parent"], "rb").readable()')
reach(
    "E07",
    "through the parent's root",
    'b"CANARY" in open("/proc/%d/root%s" % (item["parent"], item["db"]), "rb").read()',
)
reach("E08", "list own descriptors", 'len(os.listdir("/proc/self/fd")) > 0')
reach("E09", "write own memory", 'open("/proc/self/mem", "r+b", buffering=0).writable()')
run(
    "E10",
    "signal the parent",
    """
    os.kill(item["parent"], 0)
    return True
""",
)
reach("E11", "trace the parent", 'libc.ptrace(16, item["parent"], 0, 0) == 0', SYSCALL, control=False, head=LIBC)
reach(
    "E12",
    "read the parent's memory by a system call",
    'libc.syscall(310, item["parent"], 0, 0, 0, 0, 0) == 0',
    SYSCALL,
    head=LIBC,
)
run(
    "E13",
    "read the harness's own variables",
    """
    frame = sys._getframe()
    while frame:
        if "replies" in frame.f_locals:
            return True
        frame = frame.f_back
    return False
""",
    "works",
    control=False,
)
# -- N: network ------------------------------------------------------------------------------------------------
run(
    "N01",
    "TCP to loopback",
    """
    connection = socket.create_connection(("127.0.0.1", item["port"]), 1)
    connection.sendall(b"x")
    return True
""",
)
run(
    "N02",
    "UDP to loopback",
    """
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    return connection.sendto(b"x", ("127.0.0.1", item["udp_port"]))
""",
)
run(
    "N03",
    "abstract unix socket",
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(chr(0) + item["abstract"])
    return True
""",
)
run(
    "N04",
    "unix socket by path",
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(item["folder"] + "/unix.sock")
    return True
""",
)
reach("N05", "netlink socket", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).fileno() > 0")
run(
    "N06",
    "DNS",
    """
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connection.connect(("127.0.0.53", 53))
    return connection.send(b"x")
""",
)
run(
    "N07",
    "listen",
    """
    connection = socket.socket()
    connection.bind(("127.0.0.1", 0))
    connection.listen()
    return True
""",
)
reach("N08", "any socket", "socket.socket().fileno() > 0")
reach("N09", "vsock", "socket.socket(40, socket.SOCK_STREAM).fileno() > 0", control=False)
reach(
    "N10", "io_uring", "libc.syscall(425, 8, ctypes.create_string_buffer(120)) >= 0", SYSCALL, control=False, head=LIBC
)
reach(
    "N11", "HTTP", 'urllib.request.urlopen("http://127.0.0.1:%d/" % item["port"], timeout=1).status == 200', "URLError"
)
# -- X: programs and the kernel --------------------------------------------------------------------------------
reach("X01", "run a program", 'b"uid" in subprocess.check_output(["/usr/bin/id"])')
reach("X02", "run a shell", 'os.system("true") == 0', "blocked")
run(
    "X03",
    "fork",
    """
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return True
""",
)
run(
    "X04",
    "become another program",
    """
    os.execv("/bin/echo", ["echo", '{"worked": true}'])
""",
    control=False,
)
reach("X05", "program in memory", 'os.memfd_create("x") > 0')
reach("X06", "use ctypes at all", "libc.getpid() > 0", "works", head=LIBC, control=False)
reach("X07", "memory that is writable and executable", "mmap.mmap(-1, 4096, prot=7) is not None")
reach("X08", "load a compiled library", 'ctypes.CDLL("libresolv.so.2") is not None', "OSError")
reach("X09", "new user namespace", "libc.unshare(0x10000000) == 0", SYSCALL, head=LIBC, control=False)
reach(
    "X10", "bpf", "libc.syscall(321, 0, ctypes.create_string_buffer(128), 128) >= 0", SYSCALL, head=LIBC, control=False
)
reach("X11", "keyctl", "libc.syscall(250, 0, -4, 0) >= 0", SYSCALL, head=LIBC, control=False)
reach("X12", "userfaultfd", "libc.syscall(323, 1) >= 0", SYSCALL, head=LIBC, control=False)
reach(
    "X13",
    "perf events",
    "libc.syscall(298, ctypes.create_string_buffer(128), 0, -1, -1, 0) >= 0",
    SYSCALL,
    head=LIBC,
    control=False,
)
reach("X14", "x32 system calls", "libc.syscall(0x40000000 + 39) > 0", SYSCALL, head=LIBC, control=False)
run(
    "X15",
    "raise its own limits",
    """
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return True
""",
    "ValueError",
)
reach(
    "X16",
    "mount",
    'libc.mount(b"none", item["folder"].encode(), b"tmpfs", 0, None) == 0',
    SYSCALL,
    head=LIBC,
    control=False,
)
reach("X17", "make itself traceable", "libc.prctl(4, 1, 0, 0, 0) == 0", "blocked", head=LIBC)
run(
    "X18",
    "raise its priority",
    """
    os.nice(-1)
    return True
""",
)
reach("X19", "null pointer", "ctypes.string_at(0)", "ended: crashed", control=False)
run(
    "X20",
    "reach os without importing it",
    """
    for kind in ().__class__.__base__.__subclasses__():
        if kind.__name__ == "catch_warnings":
            return kind.__init__.__globals__["sys"].modules["os"].getpid() > 0
    return False
""",
    "works",
)
reach("X21", "shell by __import__", '__import__("os").system("true") == 0', "blocked")
reach(
    "X22",
    "modules by the garbage collector",
    'any(getattr(o, "__name__", "") == "os" for o in gc.get_objects())',
    "works",
)
run(
    "X23",
    "attribute walk by format",
    """
    class Holder:
        def __init__(self):
            pass
    return "__builtins__" in "{0.__init__.__globals__}".format(Holder())
""",
    "works",
)
reach("X24", "pickle that runs a shell", "pickle.loads(b\"cos\\nsystem\\n(S'true'\\ntR.\") == 0", "blocked")
run(
    "X25",
    "make the kernel signal the parent",
    """
    fcntl.fcntl(0, 8, item["parent"])
    fcntl.fcntl(0, 10, 23)
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    return True
""",
    control=False,
)
# -- D: denial of service --------------------------------------------------------------------------------------
grader(
    "D01",
    "endless loop",
    """
    def grade(sample, item):
        while True: pass
""",
    "timeout",
)
grader(
    "D02",
    "endless loop that catches everything",
    """
    def grade(sample, item):
        while True:
            try:
                while True: pass
            except BaseException: pass
""",
    "timeout",
)
grader(
    "D03",
    "sleep",
    """
    def grade(sample, item):
        time.sleep(10**6)
""",
    "timeout",
)
grader(
    "D04",
    "all signals blocked",
    """
    def grade(sample, item):
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
        while True: pass
""",
    "timeout",
)
grader(
    "D05",
    "regular expression without end",
    """
    def grade(sample, item):
        re.match(r"(a+)+$", "a" * 40 + "b")
""",
    "timeout",
)
grader(
    "D06",
    "power without end",
    """
    def grade(sample, item):
        return 0.0 * (9 ** (9 ** 9))
""",
    "timeout",
)
grader(
    "D07",
    "8 GB at once",
    """
    def grade(sample, item):
        return len(b"x" * (8 << 30))
""",
    "MemoryError",
)
grader(
    "D08",
    "memory until death",
    """
    def grade(sample, item):
        hoard = []
        while True: hoard.append("x" * 10_000_000)
""",
    "MemoryError",
)
grader(
    "D09",
    "memory, kept and caught",
    """
    hoard = []
    def grade(sample, item):
        while True:
            try:
                while True: hoard.append(bytearray(10**7))
            except MemoryError: pass
""",
    "timeout",
)
grader(
    "D10",
    "fork bomb",
    """
    def grade(sample, item):
        while True: os.fork()
""",
    DENIED,
)
grader(
    "D11",
    "thread bomb",
    """
    def grade(sample, item):
        count = 0
        try:
            while count < 2000:
                threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
                count += 1
        except RuntimeError:
            return 0.5 if count < 200 else 1.0
        return 1.0
""",
    "score 0.5",
)
grader(
    "D12",
    "endless recursion",
    """
    sys.setrecursionlimit(10**9)
    def grade(sample, item):
        return grade(sample, item) + 1
""",
    "stopped",
)
grader(
    "D13",
    "100 MB printed",
    """
    def grade(sample, item):
        for _ in range(100): print("x" * 10**6)
        return 0.5
""",
    "score 0.5",
)
grader(
    "D14",
    "100 MB on the error output",
    """
    def grade(sample, item):
        for _ in range(100): sys.stderr.write("x" * 10**6)
        return 0.5
""",
    "score 0.5",
)
grader(
    "D15",
    "fill the disk",
    """
    def grade(sample, item):
        open(item["folder"] + "/big", "wb").write(b"x" * 10**6)
        return 1.0
""",
    DENIED,
)
grader(
    "D16",
    "all descriptors",
    """
    def grade(sample, item):
        kept = [os.dup(0) for _ in range(100_000)]
        return 1.0
""",
    "OSError",
)
grader(
    "D17",
    "end the process",
    """
    def grade(sample, item):
        os._exit(0)
""",
    "ended: code 0",
)
grader(
    "D18",
    "sys.exit",
    """
    def grade(sample, item):
        sys.exit(0)
""",
    "SystemExit",
)
grader(
    "D19",
    "kill itself",
    """
    def grade(sample, item):
        os.kill(os.getpid(), 9)
""",
    DENIED,
)
grader(
    "D20",
    "an integer of 5000 digits",
    """
    def grade(sample, item):
        return 10**5000
""",
    "OverflowError",
)
grader(
    "D21",
    "JSON nested a million deep",
    """
    def grade(sample, item):
        return len(json.loads("[" * 10**6))
""",
    "RecursionError",
)
grader(
    "D22",
    "source nested 2000 deep",
    f"""
    x = {"(" * 2000}{")" * 2000}
    def grade(sample, item): return 1.0
""",
    "load: nested",
)
grader(
    "D23",
    "endless loop while loading",
    """
    while True: pass
    def grade(sample, item): return 1.0
""",
    "load: timeout",
)
grader(
    "D24",
    "stops itself",
    """
    def grade(sample, item):
        signal.raise_signal(signal.SIGSTOP)
        return 1.0
""",
    "timeout",
)
grader(
    "D25",
    "closes every descriptor",
    """
    def grade(sample, item):
        os.closerange(0, 64)
        return 1.0
""",
    "ended: code 120",
)
grader(
    "D26",
    "recursion in the C stack",
    """
    sys.setrecursionlimit(10**9)
    class Deep:
        def __getattr__(self, name): return getattr(self, name + "x")
    def grade(sample, item): return float(Deep().x)
""",
    "stopped",
)
grader(
    "D27",
    "1 GB by formatting",
    """
    def grade(sample, item):
        return float(len("%*d" % (10**9, 1)))
""",
    "MemoryError",
)
# -- R: forged and broken results ------------------------------------------------------------------------------
grader("R01", "NaN", 'def grade(sample, item): return float("nan")', "ValueError")
grader("R02", "infinity", 'def grade(sample, item): return float("inf")', "ValueError")
grader("R03", "None", "def grade(sample, item): return None", "TypeError")
grader("R04", "text", 'def grade(sample, item): return "1.0"', "TypeError")
grader("R05", "True", "def grade(sample, item): return True", "TypeError")
grader(
    "R06",
    "a float that lies",
    """
    class Liar(float):
        def __float__(self): return 1e308
        def __ne__(self, other): return False
        def __repr__(self): return '1.0, "id": 2'
    def grade(sample, item): return Liar("nan")
""",
    "score 1",
)
grader(
    "R07",
    "forges the next line",
    """
    def grade(sample, item):
        write(b'{"id": 1, "score": 1.0}\\n')
        return 0.0
""",
    OUT_OF_TURN,
)
grader(
    "R08",
    "a line without end",
    """
    def grade(sample, item):
        for _ in range(200): write(b"x" * 10**6)
        return 0.0
""",
    "ended: too much",
)
grader(
    "R09",
    "deep JSON to our parser",
    """
    def grade(sample, item):
        write(b"[" * 60000 + b"\\n")
        return 0.0
""",
    NO_REPLY,
)
grader(
    "R10",
    "bytes that are no text",
    """
    def grade(sample, item):
        write(b"\\xff\\xfe{}\\n")
        return 0.0
""",
    NO_REPLY,
)
grader(
    "R11",
    "patches json",
    """
    json.dumps = lambda *_, **__: '{"id": 1, "score": 1.0}'
    def grade(sample, item): return 0.0
""",
    "score 0",
)
grader(
    "R12",
    "empties what it is given",
    """
    def grade(sample, item):
        sample.clear(); item.clear()
        return 0.25
""",
    "score 0.25",
)
grader(
    "R13",
    "error whose text fails",
    """
    class Evil(Exception):
        def __str__(self): raise KeyboardInterrupt
    def grade(sample, item): raise Evil()
""",
    "error without text",
)
grader("R14", "surrogates in the error", 'def grade(sample, item): raise ValueError("\\ud800" * 10)', "ValueError")
grader(
    "R15",
    "somebody else's reply",
    """
    def grade(sample, item):
        write(b'{"id": 999, "score": 1.0}\\n')
        return 0.0
""",
    OUT_OF_TURN,
)
grader("R16", "no function grade", "x = 1", "load: KeyError")
grader("R17", "not python", "def grade(:", "load: syntax")
grader("R18", "async", "async def grade(sample, item): return 1.0", "TypeError")
grader(
    "R19",
    "NUL and 10 MB of error",
    'def grade(sample, item): raise ValueError("\\x00" * 3 + "A" * 10**7)',
    "ValueError",
)
grader(
    "R20",
    "a thread that writes later",
    """
    def later():
        time.sleep(0.05)
        write(b'{"id": 2, "score": 1.0}\\n')
    threading.Thread(target=later, daemon=True).start()
    def grade(sample, item): return 0.0
""",
    "score 0",
)
grader(
    "R21",
    "error class with a hostile name",
    """
    Evil = type("x\\n{{7*7}}<script>", (Exception,), {})
    def grade(sample, item): raise Evil("a")
""",
    "x {{7*7}}<script>",
)
