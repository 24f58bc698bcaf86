/* A server over libtirpc that answers procedure 0 and nothing else; rpcbind is not asked. */
#include <arpa/inet.h>
#include <rpc/rpc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define PROGRAM 536872241

static void dispatch(struct svc_req *request, SVCXPRT *transport)
{
	if (request->rq_proc == NULLPROC)
		svc_sendreply(transport, (xdrproc_t)xdr_void, NULL);
	else
		svcerr_noproc(transport);
}

int main(int argc, char **argv)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in at = { .sin_family = AF_INET };

	at.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 64))
		return 1;
	SVCXPRT *transport = svc_vc_create(fd, 0, 0);
	if (!transport || !svc_register(transport, PROGRAM, 1, dispatch, 0))
		return 1;
	puts("ready");
	fflush(stdout);
	svc_run();
	return 1;
}
