"""What the command line refuses, and in which words."""
import json, os, subprocess

import fixture
from fixture import Bundle, check, contains, detached, equal, left, runc


def refused(done, part, name, status=1):
    """One human line on stderr, the exit status, and none of the words that engines read."""
    good = (done.returncode == status and part in done.stderr and done.stderr.count('\n') == 1 and
            not done.stdout and not any(w in done.stderr.lower() for w in fixture.ENGINE_WORDS))
    check(good, name, 'status %d, stdout %r' % (done.returncode, done.stdout),
          'stderr %r' % done.stderr, 'expected %r' % part)


def test_version_and_help():
    for flag in ('--version', '-v'):
        done = runc(flag, root_option=False)
        lines = done.stdout.splitlines()
        check(done.returncode == 0 and lines[0].startswith('vxn-runc version ') and
              lines[1] == 'spec: 1.0.2', flag, done)
    for arguments in ((), ('--help',), ('-h',)):
        done = runc(*arguments, root_option=False)
        check(done.returncode == 0 and 'create' in done.stdout and not done.stderr,
              'help by %r' % (arguments,), done)
    for verb in ('create', 'start', 'state', 'kill', 'delete', 'run', 'exec'):
        done = runc(verb, '--help')
        check(done.returncode == 0 and 'vxn-runc ' + verb in done.stdout, 'help of ' + verb, done)


def test_flags():
    refused(runc('frobnicate'), 'unknown command "frobnicate"', 'unknown command')
    refused(runc('--frobnicate', root_option=False), 'flag provided but not defined: --frobnicate',
            'unknown global flag')
    refused(runc('kill', '--frobnicate', 'x'), 'not defined: --frobnicate', 'unknown flag')
    refused(runc('kill', '-z', 'x'), 'not defined: -z', 'unknown letter')
    refused(runc('create', '--bundle'), 'flag needs an argument: --bundle', 'value missing')
    refused(runc('exec', '-u'), 'flag needs an argument: -u', 'value of a letter missing', 255)
    refused(runc('delete', '--force=maybe', 'x'), 'invalid boolean value "maybe"', 'bad boolean')
    refused(runc('state', 'x', globals=['--log-format', 'xml']), 'unknown log-format "xml"',
            'unknown log format')
    refused(runc('state', 'x', globals=['--log', '/nowhere/log']), '/nowhere/log',
            'log that cannot be opened')
    for verb in ('create', 'start', 'state', 'delete', 'run'):
        refused(runc(verb), '"%s" requires exactly 1 argument(s)' % verb, verb + ' without an id')
        refused(runc(verb, 'a', 'b'), '"%s" requires exactly 1' % verb, verb + ' with two')
    refused(runc('kill'), '"kill" requires a minimum of 1', 'kill without an id')
    refused(runc('kill', 'a', '9', 'x'), '"kill" requires a maximum of 2', 'kill with three')
    refused(runc('exec'), '"exec" requires a minimum of 1', 'exec without an id', 255)
    bundle = Bundle()
    for verb in ('create', 'run'):
        refused(runc(verb, '--preserve-fds', '2', '-b', bundle.path, 'c'), '--preserve-fds 2',
                verb + ' --preserve-fds 2')
    refused(runc('delete', 'c', '--force=false'), 'container does not exist',
            'flag after the argument, with =false')
    equal(runc('delete', 'c', '-f').returncode, 0, 'letter after the argument')


def test_ids():
    bundle = Bundle()
    for name in ('../x', '..', '.', 'a/b', 'a b', 'a\nb', '\xe4', '', 'x' * 1025):
        part = 'container id cannot be empty' if not name else 'invalid container ID format'
        for verb in ('create', 'run'):
            refused(runc(verb, '-b', bundle.path, name), part, '%s %.20r' % (verb, name))
        for verb in ('start', 'state', 'kill', 'delete'):
            refused(runc(verb, name), part, '%s %.20r' % (verb, name))
    equal(left(), [], 'nothing is left')


def test_unknown_container():
    for verb in ('start', 'state', 'kill', 'delete'):
        refused(runc(verb, 'unknown'), 'container does not exist', verb)
    refused(runc('exec', 'unknown', 'true'), 'container does not exist', 'exec', 255)
    for _ in range(2):
        done = runc('delete', '--force', 'unknown')
        check(done.returncode == 0 and not done.stderr, 'delete --force', done)
    os.makedirs(fixture.root, exist_ok=True)
    open(fixture.root + '/file', 'w').close()
    refused(runc('state', 'file'), 'container', 'a file in its place')
    os.unlink(fixture.root + '/file')


def refused_bundle(bundle, part, name, *flags):
    for verb in ('create', 'run'):
        refused(detached(verb, '-b', bundle if isinstance(bundle, str) else bundle.path, *flags,
                         'refused'), part, '%s: %s' % (verb, name))


def test_bundles():
    refused_bundle('/nowhere', 'bundle /nowhere', 'bundle missing')
    bundle = Bundle()
    os.unlink(bundle.path + '/config.json')
    refused_bundle(bundle, 'JSON specification file config.json not found', 'config.json missing')
    os.mkdir(bundle.path + '/config.json')
    refused_bundle(bundle, 'config.json', 'config.json is a directory')
    bundle = Bundle()
    text = open(bundle.path + '/config.json').read()
    for at in (0, 1, len(text) // 2, len(text) - 1):
        bundle.write(text[:at])
        refused_bundle(bundle, bundle.path + '/config.json: ', 'JSON broken at byte %d' % at)
    bundle.write(text + 'x')
    refused_bundle(bundle, bundle.path + '/config.json: 1:', 'more after the JSON')
    os.truncate(bundle.path + '/config.json', 100 << 20)
    refused_bundle(bundle, bundle.path + '/config.json: more than 3145728 bytes', '100 MiB')


def change(path, value):
    """A bundle with one value of config.json replaced, or taken away."""
    bundle = Bundle()
    node = bundle.config
    for key in path[:-1]:
        node = node[key]
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return bundle.write()


def test_configs():
    refused_bundle(change(['process', 'args'], None), 'process.args', 'args missing')
    refused_bundle(change(['process', 'args'], []), 'process.args', 'args empty')
    refused_bundle(change(['process'], None), 'process is missing', 'process missing')
    refused_bundle(change(['process', 'cwd'], None), 'process.cwd', 'cwd missing')
    refused_bundle(change(['root', 'path'], None), 'root.path', 'root.path missing')
    refused_bundle(change(['ociVersion'], None), 'ociVersion', 'ociVersion missing')
    refused_bundle(change(['root', 'path'], 'nothing'), '/nothing', 'rootfs missing')
    refused_bundle(change(['root', 'path'], '/nowhere/x'), '/nowhere/x', 'absolute rootfs missing')
    refused_bundle(change(['root', 'path'], 'config.json'), 'is not a directory', 'rootfs a file')
    terminal = change(['process', 'terminal'], True)
    refused(detached('create', '-b', terminal.path, 'c'), 'without setting console socket',
            'create: terminal without a console socket')
    refused(detached('run', '-d', '-b', terminal.path, 'c'), 'without setting console socket',
            'run -d: terminal without a console socket')
    refused(detached('run', '--console-socket', '/x', '-b', terminal.path, 'c'),
            'cannot use console socket', 'run: console socket in the foreground')
    refused_bundle(Bundle(), 'cannot use console socket', 'console socket without a terminal',
                   '--console-socket', '/x')
    bundle = Bundle()
    bundle.config['mounts'].append(dict(destination='/m', type='bind', source='/nowhere/at',
                                        options=['bind']))
    refused_bundle(bundle.write(), '/nowhere/at', 'mount source missing')
    equal(left(), [], 'nothing is left')


def test_log():
    path = fixture.directory + '/log'
    bundle = Bundle()
    bundle.config['linux']['apparmor'] = 1
    bundle.config['process']['apparmorProfile'] = 'some-profile'
    bundle.config['root']['path'] = 'rootfs'
    bundle.monitor('refuse no "quotes" \\ and \x1b[31mcolours')
    for form in ('json', 'text'):
        done = detached('create', '-b', bundle.path, 'logged',
                        globals=['--log', path + form, '--log-format=' + form])
        equal(done.stderr, 'no "quotes" \\ and ?[31mcolours\n', form + ': human line on stderr')
    lines = [json.loads(line) for line in open(path + 'json')]
    check(all(sorted(line) == ['level', 'msg', 'time'] for line in lines), 'members', lines)
    equal([lines[-1]['level'], lines[-1]['msg']], ['error', 'no "quotes" \\ and ?[31mcolours'],
          'the error is the last line')
    check(any(line['level'] == 'warning' and 'apparmor' in line['msg'].lower() for line in lines),
          'a field without effect is a warning', lines)
    check(not any(line['level'] == 'debug' for line in lines), 'no debug lines without --debug')
    lines = open(path + 'text').read().splitlines()
    check(lines[-1].startswith('time="20') and
          lines[-1].endswith(' level=error msg="no \\"quotes\\" \\\\ and ?[31mcolours"'),
          'text format', lines[-1])
    os.mkdir(fixture.directory + '/cwd')
    runc('state', 'x', globals=['--log', 'relative'], cwd=fixture.directory + '/cwd')
    check('container does not exist' in open(fixture.directory + '/cwd/relative').read(),
          'relative path of the log')
    before = open(path + 'text').read()
    runc('state', 'x', globals=['--log', path + 'text'])
    check(open(path + 'text').read().startswith(before), 'it is appended to')
    equal(left(), [], 'nothing is left')


def test_no_environment():
    done = subprocess.run([fixture.RUNC, '--version'], env={}, capture_output=True, text=True)
    equal(done.returncode, 0, 'empty environment')
    for fd in (0, 1, 2):
        done = subprocess.run(['/bin/sh', '-c', 'exec "$0" --root %s state x %d>&-' %
                               (fixture.root, fd), fixture.RUNC], capture_output=True, text=True)
        equal(done.returncode, 1, 'descriptor %d closed' % fd)


def test_monitor_missing():
    monitor = fixture.LIBEXEC + '/vxn-monitor'
    os.rename(monitor, monitor + '.away')
    try:
        refused_bundle(Bundle(), 'run %s: ' % monitor, 'no monitor installed')
        equal(left(), [], 'nothing is left')
    finally:
        os.rename(monitor + '.away', monitor)
