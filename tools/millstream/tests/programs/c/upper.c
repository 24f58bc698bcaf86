/* A program that no library is loaded into: it answers the first line that it reads. */
#include <ctype.h>
#include <stdio.h>

int main(void)
{
    char line[64];
    if (!fgets(line, sizeof line, stdin))
        return 1;
    for (char *at = line; *at && *at != '\n'; at++)
        putchar(toupper(*at));
    return 0;
}
