"""Says in one line why there was no answer, with nothing in it that the receiver wrote."""

import ssl

import httpcore2


def reason_of(error: Exception) -> str:
    """Return what the host did, as the rest of a sentence that begins with its name."""
    tls = _tls_fault(error)
    if isinstance(tls, ssl.SSLCertVerificationError):
        return f"has a certificate that is not trusted: {tls.verify_message.rstrip('.')}"
    if tls:
        return f"can't be reached by TLS: {tls.reason or 'the handshake broke off'}"
    if isinstance(error, httpcore2.ProtocolError):
        # What stands behind the colon quotes the receiver.
        return f"broke the rules of HTTP/1.1: {str(error).partition(':')[0].rstrip('.')}"
    if isinstance(error, httpcore2.ConnectError):
        return "broke off the TLS handshake"
    return "broke off the connection"


def _tls_fault(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None
