// dynamic_cast, down, up and across. Its output is that of g++ 12: g++ -x c++ -std=c++17 -w casts.cu && ./a.out > casts.txt
#include <cstdio>
struct Plain { int x = 1; };
struct Shape { virtual ~Shape() {} virtual double area() const = 0; };
struct Named { const char* name = "named"; virtual const char* tell() const { return name; } };
struct Circle : Shape { double r; Circle(double r) : r(r) {} double area() const override { return 3 * r * r; } };
namespace deep { class Disc : public Circle { public: Disc() : Circle(5) {} }; }
class Square : public Plain, public Shape, public Named { double a; public: Square(double a) : a(a) {} double area() const override { return a * a; } };
struct Secret : Shape, private Named { double area() const override { return 0; } Named* own() { return this; } };
struct Left : Named { int l = 7; };
struct Right : Named { int r = 8; };
struct Both : Left, Right, Circle { Both() : Circle(1) {} };
int main() {
    Shape* all[] = {new Circle(2), new Square(3), new deep::Disc, new Secret, new Both};
    for (Shape* s : all) {
        Circle* c = dynamic_cast<Circle*>(s);
        Square* q = dynamic_cast<Square*>(s);
        const Named* n = dynamic_cast<const Named*>(s);
        Left* l = dynamic_cast<Left*>(s);
        Right* r = dynamic_cast<Right*>(s);
        printf("%g %d %d %s %d %d %d\n",
               c ? c->r : -1, q ? q->x : -1, dynamic_cast<deep::Disc*>(s) != nullptr, n ? n->tell() : "-", l ? l->l : 0, r ? r->r : 0, dynamic_cast<void*>(s) != nullptr);
        if (n) printf("%d\n", dynamic_cast<const Shape*>(n) == s);
        if (r) printf("%d %d\n", dynamic_cast<Circle*>((Named*)r) == c, dynamic_cast<Left*>((Named*)r) == l);
    }
    Secret secret;
    printf("%d\n", dynamic_cast<Shape*>(secret.own()) == nullptr);
    Shape* none = nullptr;
    printf("%d\n", dynamic_cast<Circle*>(none) == nullptr);
}
