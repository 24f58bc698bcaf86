/* The server that C's rpcgen writes, at any port of 127.0.0.1, which it prints. */
#include "square.h"
#include <arpa/inet.h>
#include <rpc/svc_soc.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <signal.h>

square_out *squareproc_1_svc(square_in *in, struct svc_req *call) {
    static square_out out;
    out.res1 = in->arg1 * in->arg1;
    return &out;
}

void *squarenull_2_svc(void *in, struct svc_req *call) {
    static char nothing;
    return &nothing;
}

square_out *squareproc_2_svc(square_in *in, struct svc_req *call) {
    return squareproc_1_svc(in, call);
}

quad_t *squarelong_2_svc(int *in, struct svc_req *call) {
    static quad_t out;
    out = (quad_t)*in * *in;
    return &out;
}

void square_prog_1(struct svc_req *call, SVCXPRT *transport);
void square_prog_2(struct svc_req *call, SVCXPRT *transport);

int main(void) {
    /* It goes with whoever started it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct sockaddr_in at = { .sin_family = AF_INET };
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof at;
    int sock = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(sock, (struct sockaddr *)&at, len) != 0 || listen(sock, 5) != 0)
        return 1;
    getsockname(sock, (struct sockaddr *)&at, &len);
    SVCXPRT *transport = svctcp_create(sock, 0, 0);
    if (transport == NULL || !svc_register(transport, SQUARE_PROG, SQUARE_VERS, square_prog_1, 0)
        || !svc_register(transport, SQUARE_PROG, SQUARE_VERS_2, square_prog_2, 0))
        return 1;
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    svc_run();
    return 1;
}
