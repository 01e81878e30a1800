# Functions for a running machine, for `box` and `snapshot`. A machine's files are in the current directory
# of whoever calls them. Callers have set -euo pipefail.

die() { echo "box: $*" >&2; exit 125; }

# qemu IMAGE OVERLAY PORT [OPTION...]: starts the machine with its files in the current directory (relative
# paths: a socket's path has room for 107 characters), returns when it runs.
qemu() {
	local image=$1 overlay=$2 port=$3
	shift 3
	# qemu64 because a PV Dom0 crashes early on max and EPYC; SVM and NPT are what PVH domains need.
	qemu-system-x86_64 -name "guest=box:$PWD" -M q35 -cpu qemu64,+svm,+npt \
		-accel tcg,thread=multi,tb-size=1024 -smp 2 -m 6144 -display none -no-reboot \
		-kernel "$image/xen" \
		-initrd "$image/vmlinux console=hvc0 net.ifnames=0 loglevel=4 mitigations=off systemd.show_status=no,$image/initrd.cpio" \
		-append "dom0_mem=2048M,max:2048M dom0_max_vcpus=2 console=com1 com1=115200,8n1 loglvl=warning guest_loglvl=warning" \
		-chardev socket,id=console,path=console.sock,server=on,wait=off,logfile=console.log -serial chardev:console \
		-monitor unix:monitor.sock,server=on,wait=off \
		-drive "file=$overlay,format=qcow2,if=none,id=disk,cache=unsafe,discard=unmap,backing.driver=raw,backing.file.filename=$image/base.raw" \
		-device virtio-blk-pci,drive=disk \
		-netdev "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:$port-:22" -device virtio-net-pci,netdev=net \
		-pidfile qemu.pid -daemonize "$@"
}

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# qemu_pid: the pid of the machine whose files are in the current directory, or failure. A pid file alone
# proves nothing after a reboot.
qemu_pid() {
	local pid
	read -r pid 2>/dev/null <qemu.pid || return 1
	tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "guest=box:$PWD" || return 1
	echo "$pid"
}

# ssh_box IMAGE PORT [OPTION...] COMMAND: over the shared connection where there is one.
ssh_box() {
	local image=$1 port=$2
	shift 2
	ssh -F /dev/null -i "$image/ssh-key" -p "$port" -l root -o BatchMode=yes -o LogLevel=ERROR \
		-o HostKeyAlias=vxn-box -o UserKnownHostsFile="$image/ssh-known" -o GlobalKnownHostsFile=/dev/null \
		-o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o ControlPath=ssh.sock -o ConnectTimeout=10 \
		-o ServerAliveInterval=30 -o ServerAliveCountMax=10 -o EscapeChar=none "$@"
}

# connect IMAGE PORT SECONDS: opens the shared connection as soon as sshd answers.
connect() {
	local deadline=$((SECONDS + $3))
	rm -f ssh.sock
	until ssh_box "$1" "$2" -o ControlMaster=yes -o ControlPersist=yes -f -N 127.0.0.1 >ssh.log 2>&1 </dev/null; do
		qemu_pid >/dev/null || die "QEMU ended while the box was starting; the end of $PWD/console.log:"$'\n'"$(tail -n 15 console.log)"
		[ "$SECONDS" -lt "$deadline" ] || die "no ssh after $3 s: $(tail -n 1 ssh.log)"
		sleep 0.1
	done
}

# end_qemu: ends the machine of the current directory, if there is one.
end_qemu() {
	local pid
	if pid=$(qemu_pid); then
		kill "$pid" 2>/dev/null || true
		for _ in $(seq 100); do
			[ -d "/proc/$pid" ] || break
			sleep 0.05
		done
		kill -9 "$pid" 2>/dev/null || true
	fi
}
