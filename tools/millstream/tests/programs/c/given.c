/* Gives a connection to a child that becomes a program without the library. */
#include "common.h"

int main(int count, char **words)
{
    int one, other;
    begin(count, words);
    connection(&one, &other);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(one, 0);
        dup2(one, 1);
        closefrom(3);
        execl("./upper", "upper", NULL);
        _exit(1);
    }
    close(one);
    put(other, "as a line\n");
    get("the child", other);
    get("the end", other);
    return 0;
}
