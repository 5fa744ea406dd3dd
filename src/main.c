#include <stdio.h>

int main(void)
{
    (void)puts("rookeryd");
    return 0;
}
