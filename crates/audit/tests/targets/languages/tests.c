#include <assert.h>
int add(int, int);
int main(void) {
    assert(add(2, 3) == 5);
    assert(add(-1, 1) == 0);
    return 0;
}
