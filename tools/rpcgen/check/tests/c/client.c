/* The client that C's rpcgen writes, at a port of 127.0.0.1. */
#include "square.h"
#include <arpa/inet.h>
#include <rpc/clnt_soc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int sock = RPC_ANYSOCK;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) };
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CLIENT *client = clnttcp_create(&at, SQUARE_PROG, SQUARE_VERS, &sock, 0, 0);
    if (client == NULL) {
        clnt_pcreateerror("client");
        return 1;
    }
    square_in in = { 12 };
    square_out *out = squareproc_1(&in, client);
    if (out == NULL) {
        clnt_perror(client, "squareproc_1");
        return 1;
    }
    printf("%d\n", out->res1);
    /* One connection serves the other version and one that is not there as well. */
    rpcvers_t version = SQUARE_VERS_2;
    clnt_control(client, CLSET_VERS, (char *)&version);
    void *nothing = squarenull_2(NULL, client);
    printf("%d\n", nothing == NULL);
    int arg = 1 << 20;
    int64_t *wide = (int64_t *)squarelong_2(&arg, client);
    printf("%lld\n", wide == NULL ? -1 : (long long)*wide);
    version = 9;
    clnt_control(client, CLSET_VERS, (char *)&version);
    struct rpc_err error;
    squarenull_2(NULL, client);
    clnt_geterr(client, &error);
    if (error.re_status == RPC_PROGVERSMISMATCH)
        printf("mismatch %d %d\n", (int)error.re_vers.low, (int)error.re_vers.high);
    return 0;
}
