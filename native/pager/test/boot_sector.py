#!/usr/bin/python3
"""The pager in real QEMU, under KVM and under TCG, with a boot sector as the guest.

The guest (boot_sector.S) writes one counter over many pages, in order, without rest. A capture of one instant
therefore holds two neighbouring numbers at most, with one seam between them. Each accelerator goes through:
map, cont, boot; several branches of every kind, each checked for one instant; the source counts on after each;
and, from some of them, a child in a second QEMU that must begin with exactly the captured numbers and count on.

TCG always runs. KVM runs, and must pass, where /dev/kvm opens; where it does not, that is said on stderr. With `kvm`, only KVM runs.

Usage: boot_sector.py LIBPAGER BOOT_SECTOR [kvm], from native/pager.
"""

import array
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

RAM_BYTES = 64 << 20
FIRST_PAGE = 0x200000
PAGE = 4096
QEMU = os.environ.get('BOUGH_QEMU') or 'qemu-system-x86_64'
# How many times slower than usual this machine is; a deadline is there to end what hangs.
FACTOR = int(os.environ.get('BOUGH_TIME_FACTOR') or 1)


class Lines:
    """A Unix socket that speaks in lines, with a deadline for each."""

    def __init__(self, path, deadline=10.0):
        self.buffer = b''
        end = time.monotonic() + deadline * FACTOR
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                return
            except OSError:
                self.socket.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)

    def send(self, text):
        self.socket.sendall(text.encode() + b'\n')

    def read(self, deadline=30.0):
        end = time.monotonic() + deadline * FACTOR
        while b'\n' not in self.buffer:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            got = self.socket.recv(1 << 16)
            if not got:
                raise EOFError('the other end hung up')
            self.buffer += got
        line, self.buffer = self.buffer.split(b'\n', 1)
        return line.decode()


class Vm:
    """One QEMU with the pager in it, stopped, its RAM mapped over the given layers."""

    def __init__(self, folder, name, accelerator, library, image, layers=(), incoming=False):
        self.path = lambda what: os.path.join(folder, f'{name}.{what}')
        with open(self.path('marker'), 'wb') as marker:
            marker.truncate(RAM_BYTES)
        arguments = [QEMU, '-nodefaults', '-no-user-config', '-display', 'none', '-S', '-m', str(RAM_BYTES >> 20)]
        arguments += ['-M', f'pc,accel={accelerator},memory-backend=mem,suppress-vmdesc=on,mem-merge=off']
        arguments += ['-cpu', 'qemu64', '-smp', '1']
        arguments += ['-object', f'memory-backend-file,id=mem,size={RAM_BYTES},mem-path={self.path("marker")},share=off']
        arguments += ['-blockdev', f'driver=raw,node-name=d0,read-only=on,file.driver=file,file.filename={image}']
        arguments += ['-device', 'virtio-blk-pci,drive=d0,bootindex=0']
        for which in ('qmp', 'pager-qmp'):
            arguments += ['-qmp', f'unix:{self.path(which)},server=on,wait=off']
        if incoming:
            arguments += ['-incoming', 'defer', '-global', 'migration.send-configuration=off']
        environment = dict(os.environ, LD_PRELOAD=library, BOUGH_PAGER_SOCKET=self.path('control'),
                           BOUGH_PAGER_QMP=self.path('pager-qmp'))
        self.log = open(self.path('log'), 'w+b')
        self.process = subprocess.Popen(arguments, env=environment, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)
        try:
            self.qmp_lines = Lines(self.path('qmp'))
            self.qmp_lines.read()
            self.qmp('qmp_capabilities')
            self.pager = Lines(self.path('control'))
            answer = self.ask('map', marker=self.path('marker'), layer=list(layers))
            assert int(answer['ram_bytes']) == RAM_BYTES, answer
        except BaseException:
            self.log.seek(0)
            sys.stderr.write(self.log.read().decode(errors='replace'))
            self.close()
            raise

    def qmp(self, command, **arguments):
        self.qmp_lines.send(json.dumps({'execute': command, 'arguments': arguments}))
        while True:
            answer = json.loads(self.qmp_lines.read())
            if 'error' in answer:
                raise RuntimeError(f'{command}: {answer["error"]}')
            if 'return' in answer:
                return answer['return']

    def ask(self, command, **fields):
        """One request to the pager; a branch's two answers come as one dict."""
        line = command
        for key, value in fields.items():
            for one in value if isinstance(value, list) else [value]:
                line += f'\t{key}={one}'
        self.pager.send(line)
        answer = {}
        while True:
            words = self.pager.read().split('\t')
            answer.update(word.split('=', 1) for word in words[1:])
            if words[0] == 'error':
                raise RuntimeError(f'{command}: {words}')
            if words[0] == 'ok':
                return answer

    def word(self, address):
        """A word of guest memory, as the guest would read it."""
        text = self.qmp('human-monitor-command', **{'command-line': f'xp /1wx {address:#x}'})
        return int(text.split(':')[1], 16)

    def wait_step(self, after, deadline):
        """Waits until the first page shows a step greater than this one."""
        end = time.monotonic() + deadline * FACTOR
        while True:
            step = self.word(FIRST_PAGE)
            if step > after:
                return step
            if time.monotonic() > end:
                raise TimeoutError(f'the guest stands still at step {step}')
            time.sleep(0.005)

    def load(self, state):
        """Feeds the device state and waits until the VM has taken it."""
        path = self.path('incoming')
        self.qmp('migrate-incoming', uri=f'unix:{path}')
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(path)
        with open(state, 'rb') as file:
            stream.sendall(file.read())
        stream.close()
        end = time.monotonic() + 10 * FACTOR
        while self.qmp('query-migrate').get('status') != 'completed':
            assert time.monotonic() < end, 'the device state was not taken'
            time.sleep(0.005)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def counters(layers, page_count):
    """The first word of each counted page, from a stack of layers."""
    memory = bytearray(page_count * PAGE)
    for layer in layers:
        fd = os.open(layer, os.O_RDONLY)
        assert os.fstat(fd).st_size == RAM_BYTES
        at = 0
        while True:
            try:
                data = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(fd, data, os.SEEK_HOLE)
            low, high = max(data, FIRST_PAGE), min(at, FIRST_PAGE + len(memory))
            if low < high:
                memory[low - FIRST_PAGE:high - FIRST_PAGE] = os.pread(fd, high - low, low)
        os.close(fd)
    return list(array.array('I', memory)[::PAGE // 4])


def check_instant(values):
    """At most two neighbouring numbers and one seam. Returns where the seam is (0: none)."""
    first, last = values[0], values[-1]
    assert first - last in (0, 1), f'{first} and {last} are not of one instant'
    seam = values.index(last)
    assert all(v == first for v in values[:seam]) and all(v == last for v in values[seam:]), f'two seams: {values}'
    return seam


def branch(vm, number, mode, tracking):
    answer = vm.ask('branch', mode=mode, layer=vm.path(f'layer{number}'), state=vm.path(f'state{number}'),
                    deadline_ms=10000, ready_ms=0, **({'tracking': tracking} if tracking else {}))
    return answer, vm.path(f'layer{number}'), vm.path(f'state{number}')


def child_runs_on(folder, number, accelerator, library, image, layers, state, page_count, values):
    child = Vm(folder, f'child{number}', accelerator, library, image, layers, incoming=True)
    try:
        child.load(state)
        for page in {0, page_count // 2, page_count - 1}:
            got = child.word(FIRST_PAGE + page * PAGE)
            assert got == values[page], f'child, page {page}: {got} instead of {values[page]}'
        child.qmp('cont')
        child.wait_step(values[0] + 1, 20)
        # A capture of the child, too: layers over layers, under the same accelerator.
        _, layer, _ = branch(child, 0, 'live', 'async')
        later = counters([*layers, layer], page_count)
        check_instant(later)
        assert later[-1] > values[-1], 'the child stands still'
    finally:
        child.close()


def run(accelerator, library, sector, page_count, boot_deadline):
    kinds = [('live', 'async'), ('live', 'async'), ('live', 'sync'), ('diff', None), ('live', 'async'), ('live', 'sync'),
             ('full', None), ('live', 'async')]
    pauses, armed_count, seam_count, children = [], 0, 0, 0
    base = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
    folder = tempfile.mkdtemp(prefix='pager-boot-', dir=base)
    vm = None
    try:
        image = os.path.join(folder, 'image')
        with open(sector, 'rb') as file, open(image, 'wb') as out:
            text = bytearray(file.read())
            text[4:8] = page_count.to_bytes(4, 'little')
            out.write(text + bytes((1 << 20) - len(text)))
        vm = Vm(folder, 'source', accelerator, library, image)
        vm.qmp('cont')
        vm.wait_step(2, boot_deadline)
        before = 0
        for number, (mode, tracking) in enumerate(kinds):
            answer, layer, state = branch(vm, number, mode, tracking)
            values = counters([layer], page_count)
            seam_count += check_instant(values) > 0
            assert values[-1] > before, f'{mode} {tracking}: step {values[-1]} after {before}'
            before = values[-1]
            vm.wait_step(values[0] + 1, 20)
            armed_count += int(answer['armed_pages']) > 0
            if mode == 'live':
                pauses.append(int(answer['pause_us']) / 1000)
            if number in (1, 2):
                child_runs_on(folder, number, accelerator, library, image, [layer], state, page_count, values)
                children += 1
            os.unlink(layer)
        assert vm.qmp('query-status')['status'] == 'running'
        pauses.sort()
        print(f'boot_sector-{accelerator}: {page_count} pages: {len(kinds)} branches ({armed_count} armed) of one instant '
              f'each ({seam_count} caught in the middle of a step), {children} children ran on, step {before}; live '
              f'pauses {pauses[0]:.2f} to {pauses[-1]:.2f} ms', flush=True)
    finally:
        if vm:
            vm.close()
        shutil.rmtree(folder)


def kvm_opens():
    try:
        os.close(os.open('/dev/kvm', os.O_RDWR))
        return True
    except OSError:
        return False


def main():
    library, sector = os.path.abspath(sys.argv[1]), sys.argv[2]
    if not shutil.which(QEMU):
        print(f'boot_sector: skipped: no {QEMU}')
        return
    kvm_only = sys.argv[3:] == ['kvm']
    for page_count in () if kvm_only else (112, 3000):
        run('tcg', library, sector, page_count, 30)
    if not kvm_only and not kvm_opens():
        print('boot_sector under KVM: not available (/dev/kvm does not open): TCG ONLY', file=sys.stderr)
        return
    for page_count in (112, 3000):
        run('kvm', library, sector, page_count, 60)


if __name__ == '__main__':
    main()
