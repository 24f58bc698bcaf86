/* Descriptors that are passed to other processes. */
#include "common.h"

static void pass(int by, int fd)
{
    char octet = 'f', room[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec piece = {&octet, 1};
    struct msghdr msg = {.msg_iov = &piece,
                         .msg_iovlen = 1,
                         .msg_control = room,
                         .msg_controllen = sizeof room};
    struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    must(sendmsg(by, &msg, 0), "sendmsg");
}

static int passed(int by)
{
    int fd = -1;
    char octet, room[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec piece = {&octet, 1};
    struct msghdr msg = {.msg_iov = &piece,
                         .msg_iovlen = 1,
                         .msg_control = room,
                         .msg_controllen = sizeof room};
    must(recvmsg(by, &msg, 0), "recvmsg");
    struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
    if (head)
        memcpy(&fd, CMSG_DATA(head), sizeof fd);
    return fd;
}

static int receiver(int by)
{
    int fd = passed(by), listener = passed(by);
    get("the child, what waited", fd);
    get("the child, what came later", fd);
    put(fd, "from the child");
    int one = accept(listener, NULL, NULL);
    get("the child, of its listener", one);
    put(one, "accepted");
    close(one);
    get("the child, the end", fd);
    return 3;
}

int main(int count, char **words)
{
    int pair[2], one, other, status;
    begin(count, words);
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
    pid_t pid = fork();
    if (pid == 0)
        _exit(receiver(pair[1]));
    connection(&one, &other);
    int listener = listening();
    put(other, "before");
    arrived(one, 6);
    pass(pair[0], one);
    close(one);
    pass(pair[0], listener);
    struct sockaddr_in name = name_of(listener);
    close(listener);
    usleep(20000);
    put(other, "after");
    get("the parent", other);
    int third = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(third, (struct sockaddr *)&name, sizeof name), "connect");
    put(third, "hello");
    get("the parent", third);
    shutdown(other, SHUT_WR);
    waitpid(pid, &status, 0);
    came("the child's end", WEXITSTATUS(status));
    return 0;
}
