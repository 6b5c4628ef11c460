"""The stand-ins for CUDA's libraries: what PyTorch asks of them, and what they answer."""

import ctypes
import importlib.util
import platform
import re
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE = ROOT / "requirements" / "cpu_torch.py"
_spec = importlib.util.spec_from_file_location("cpu_torch", FILE)
assert _spec and _spec.loader
cpu_torch = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cpu_torch)

TORCH = Path(sysconfig.get_paths()["platlib"]) / "torch" / "lib"
MACHINE = cpu_torch.MACHINES.get(platform.machine())
Symbol = cpu_torch.Symbol

linux = pytest.mark.skipif(
    sys.platform != "linux" or MACHINE is None, reason="elsewhere PyTorch needs no stand-ins"
)


@linux
def test_every_function_of_a_stand_in_finds_no_device(tmp_path: Path) -> None:
    symbols = {Symbol(f"cuDo{n}", version) for n in range(300) for version in ("", "libx.so.1")}
    path = tmp_path / "libx.so.1"
    path.write_bytes(cpu_torch.stand_in("libx.so.1", symbols, MACHINE))

    library = ctypes.CDLL(str(path))

    assert {library[symbol.name]() for symbol in symbols} == {100}  # cudaErrorNoDevice


@linux
def test_the_text_of_an_error_says_how_to_get_the_libraries(tmp_path: Path) -> None:
    path = tmp_path / "libx.so.1"
    symbols = {Symbol("cudaGetErrorString", "libx.so.1"), Symbol("cudaGetErrorName", "")}
    path.write_bytes(cpu_torch.stand_in("libx.so.1", symbols, MACHINE))

    library = ctypes.CDLL(str(path))

    for symbol in symbols:
        function = library[symbol.name]
        function.restype = ctypes.c_char_p
        assert b"make setup GPU=1" in function(100)


@linux
def test_a_stand_in_without_symbols_loads(tmp_path: Path) -> None:
    path = tmp_path / "libx.so.1"
    path.write_bytes(cpu_torch.stand_in("libx.so.1", set(), MACHINE))

    ctypes.CDLL(str(path))


@pytest.mark.parametrize(
    ("name", "value"),
    # By hand: ((0x61 << 4) + 0x62) << 4 …; seven letters overflow 28 bits for the first time.
    [("", 0), ("a", 0x61), ("ab", 0x672), ("exit", 0x6CF04), ("printf", 0x77905A6)],
)
def test_the_hash_is_that_of_elf(name: str, value: int) -> None:
    assert cpu_torch.elf_hash(name) == value


@linux
def test_a_stand_in_reads_as_the_library_that_it_is(tmp_path: Path) -> None:
    """What has been written is found, by version, by the loader of another that asks for it."""
    path = tmp_path / "libx.so.1"
    path.write_bytes(cpu_torch.stand_in("libx.so.1", {Symbol("f", "A"), Symbol("g", "B")}, MACHINE))
    dlvsym = ctypes.CDLL(None).dlvsym
    dlvsym.restype, dlvsym.argtypes = ctypes.c_void_p, [ctypes.c_void_p, *[ctypes.c_char_p] * 2]
    library = ctypes.CDLL(str(path))

    assert dlvsym(library._handle, b"f", b"A")
    assert dlvsym(library._handle, b"g", b"B")
    assert not dlvsym(library._handle, b"f", b"B")


@linux
@pytest.mark.skipif(not (TORCH / "libtorch_cuda.so").exists(), reason="this PyTorch is of a CPU")
def test_only_functions_of_cuda_are_stood_in_for() -> None:
    wanted = cpu_torch.wanted(sorted(TORCH.glob("libtorch*.so")))

    assert {"libcudart", "libcudnn", "libnccl"} <= {name.partition(".so")[0] for name in wanted}
    assert not [name for name in wanted if "torch" in name or name.startswith(("libc.", "libm."))]
    names = {symbol.name for symbols in wanted.values() for symbol in symbols}
    assert {"cudaGetDeviceCount", "ncclCommDestroy"} <= names
    # PyTorch's own: with a stand-in for `sgemm_` it multiplies matrices wrongly, and says nothing.
    assert not names & {"sgemm_", "dgesv_", "cunmqr_"}
    assert all(re.match(r"_*(cu|nv|nccl)", name) for name in names), names


def test_what_is_left_out_without_a_gpu_is_asked_for_by_pytorch_alone() -> None:
    lines = (ROOT / "requirements" / "cuda.in").read_text().splitlines()
    left_out = {line for line in lines if not line.startswith("#")}
    text = (ROOT / "requirements" / "all.txt").read_text()
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    comments = {block.partition("==")[0]: re.findall(r"# (.*)", block) for block in blocks}
    asked_by = {
        name: {line.removeprefix("via").strip() for line in lines} - {""}
        for name, lines in comments.items()
    }

    assert left_out == {name for name in asked_by if re.match(r"nvidia-|cuda-|triton$", name)}
    assert set().union(*(asked_by[name] for name in left_out)) <= left_out | {"torch"}
