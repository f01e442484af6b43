"""A deadline for a whole HTTP exchange: looking up the host, connecting, repeating, waiting, and reading byte for byte.

The timeouts of sockets are for one step each, and a server that sends a byte now and then passes all of them.
"""

import contextlib
import queue
import socket
import threading

_call = threading.local()


class _Call:
    """One exchange: the sockets that it uses, to be shut down when its time is over."""

    def __init__(self):
        self._lock, self._sockets, self._over = threading.Lock(), [], False

    def uses(self, sock) -> None:
        with self._lock:
            if self._over:
                raise TimeoutError("The time for this request is over.")
            if sock is not None:
                self._sockets.append(sock)

    def end(self) -> None:
        with self._lock:
            self._over = True
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


def within(seconds: float, function, *arguments):
    """`function(*arguments)`, on a thread of its own. Raises `TimeoutError` when `seconds` are over.

    What `adapter` carries for it is then cut off, so that the thread ends too.
    """
    done: queue.SimpleQueue = queue.SimpleQueue()
    call = _Call()

    def work():
        _call.now = call
        try:
            done.put((function(*arguments), None))
        except BaseException as error:  # raised again where the caller waits
            done.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        value, error = done.get(timeout=seconds)
    except queue.Empty:
        call.end()
        raise TimeoutError from None
    except BaseException:  # ctrl-C
        call.end()
        raise
    if error is not None:
        raise error
    return value


def _watched(kind: type) -> type:
    """A class of urllib3's connections whose sockets the call on this thread knows of."""

    class Watched(kind):
        def connect(self):
            _call.now.uses(None)
            super().connect()
            _call.now.uses(self.sock)

        def request(self, *arguments, **options):
            _call.now.uses(self.sock)
            return super().request(*arguments, **options)

    return Watched


def adapter(**options):
    """A `requests.adapters.HTTPAdapter` for exchanges `within` a time."""
    from requests.adapters import HTTPAdapter
    from urllib3 import connectionpool

    pools = {}
    for scheme, pool in (("http", connectionpool.HTTPConnectionPool), ("https", connectionpool.HTTPSConnectionPool)):
        pools[scheme] = type(f"Watched{pool.__name__}", (pool,), {"ConnectionCls": _watched(pool.ConnectionCls)})

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments, **keywords):
            super().init_poolmanager(*arguments, **keywords)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, *arguments, **keywords):
            manager = super().proxy_manager_for(*arguments, **keywords)
            manager.pool_classes_by_scheme = pools
            return manager

    return Adapter(**options)
