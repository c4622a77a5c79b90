// Edges of strings, streams and files: ends, failures, bytes that are no text. Its output is that of g++ 12:
// g++ -x c++ -std=c++17 -w streams.cu && ./a.out a_file > streams.txt
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <limits>
#include <sstream>
#include <string>
using namespace std;
int main(int argc, char** argv) {
    string path = argv[1];
    if (argc > 2) printf("%s", string("a long text").substr(stoi(argv[2])).c_str());
    {   // numbers in texts
        printf("%ld %ld %lu %lu %d ", strtol("99999999999999999999", 0, 10), strtol("-99999999999999999999", 0, 10), strtoul("99999999999999999999", 0, 10), strtoul("-5", 0, 10), atoi("99999999999"));
        printf("%ld %g %g\n", strtol("-9223372036854775808", 0, 10), strtod("0x1.8p3", 0), atof("0x10"));
        printf("%d %lu %g\n", stoi("-2147483648"), stoul("18446744073709551615"), stof("1e38"));
    }
    {   // strings
        string s = "hello world hello"; printf("%zu %zu %zu %d %d %d\n", s.find("hello", 1), s.find("x", string::npos), s.rfind("hello"), string("abcd").compare("ab"), string("ab").compare("abcd"), (int)s.find(string("\0d", 2)));
        s.clear(); printf("%zu [%s]\n", s.size(), s.c_str());
    }
    {   // output
        signed char sc = 65; unsigned char uc = 66; const int* null = nullptr;
        cout << sc << uc << " " << hex << (short)-1 << " " << -1 << " " << dec << showpos << 5u << " " << 5 << " " << (short)-3 << noshowpos << " " << (const void*)null << " " << setw(5) << endl << 7 << "\n";
        cout.write("hello world", 5); cout << "\xc3" << "\xa9" << '\xc3' << '\xa9'; putchar(0xc3); putchar(0xa9); printf("%c%c %-4s|\n", 0xc3, 0xa9, "\xc3\xa9");
        cout << fixed << setprecision(120) << 1e300 << defaultfloat << setprecision(6) << "\n" << flush;
        char buffer[16]; int n = sprintf(buffer, "%c%c", 200, 100); printf("%d %d\n", n, (unsigned char)buffer[0]);
        printf("%02hhx %hd %hhu %p|%8p|\n", (char)-1, 70000, 300, (void*)0, (void*)0);
    }
    {   // text streams
        stringstream ss; ss << "12"; int a = 0, b = 7; ss >> a; printf("%d ", ss.eof()); ss.clear(); ss << "34"; ss >> b; printf("%d %d ", a, b);
        istringstream is("5 6"); int n = 0; while (is >> n) {} printf("%d ", n); string w = "k"; istringstream ws("one two"); while (ws >> w) {} printf("%s ", w.c_str());
        istringstream big("99999999999 -99999999999 70000 -1 300"); int i; short h; unsigned u; unsigned char c = 0; big >> i; printf("%d %d ", i, (bool)big); big.clear(); big >> i; printf("%d ", i); big.clear(); big >> h; printf("%d ", h); big.clear(); big >> u; printf("%u %d\n", u, (bool)big);
        istringstream hx("0x1f 1f 10x"); hx >> hex >> a >> b; printf("%d %d ", a, b); hx >> a; int behind = hx.get(); printf("%d %c ", a, behind);
        double x = 3, y = 4; istringstream real("1.2.3 1e5 -.5e-3 7e abc"); real >> x >> y; printf("%g %g ", x, y); real >> x >> y; printf("%g %g ", x, y); real >> x; printf("%g %d\n", x, real.fail());
        istringstream bad("abc"); a = 9; bad >> a; printf("%d ", a); bad >> a; printf("%d ", a); bad.clear(); string rest; bad >> rest; printf("%s ", rest.c_str());
        stringstream over("abcdef"); over << "XY"; printf("%s ", over.str().c_str()); over.str("new"); over << "N"; printf("%s ", over.str().c_str()); ostringstream at("abc", ios::ate); at << "d"; printf("%s ", at.str().c_str());
        istringstream un("xyz"); un.get(); un.peek(); un.unget(); int x0 = un.get(), x1 = un.get(); printf("%c%c ", x0, x1);
        istringstream lines("a\nb"); string line; while (getline(lines, line)) {} printf("[%s]\n", line.c_str());
        istringstream ig("1 junk\n2"); ig >> a; ig.ignore(numeric_limits<streamsize>::max(), '\n'); ig >> b; printf("%d %d\n", a, b);
    }
    {   // files
        { ofstream f(path, ios::binary); for (int i = 0; i < 256; i++) f.put((char)i); }
        { ofstream f(path, ios::in | ios::out); f << "AB"; }
        ifstream f(path, ios::binary); char x[300]; x[2] = 9; f.peek(); f.read(x, 3); printf("%c%c%d %zu ", x[0], x[1], x[2], (size_t)f.gcount()); f.unget(); printf("%d ", f.get()); f.read(x, 300); printf("%zu %d %d %d ", (size_t)f.gcount(), f.eof(), f.fail(), (unsigned char)x[252]);
        f.seekg(0); printf("%d ", f.get()); f.clear(); f.seekg(5); f.peek(); f.seekg(2, ios::cur); int c0 = f.get(); printf("%d %ld ", c0, (long)f.tellg());
        ifstream e(path, ios::ate | ios::binary); printf("%ld\n", (long)e.tellg());
        FILE* p = fopen(path.c_str(), "wb"); for (int i = 0; i < 256; i++) fputc(i, p); fprintf(p, "%c%c", 255, 128); fputs("\xff", p); printf("%ld ", ftell(p)); fclose(p);
        p = fopen(path.c_str(), "rb"); long sum = 0; int c; while ((c = fgetc(p)) != EOF) sum += c; printf("%ld ", sum); fclose(p);
        p = fopen(path.c_str(), "w"); fprintf(p, "one\ntwo"); fclose(p); p = fopen(path.c_str(), "r"); char line[20]; int count = 0; while (!feof(p)) { if (!fgets(line, 20, p)) continue; count++; } printf("%d\n", count); fclose(p);
        { fstream g(path, ios::in | ios::out | ios::app); g << "!"; g.seekg(0); string s; g >> s; printf("%s ", s.c_str()); }
        { ifstream g(path); string s, all; while (getline(g, s)) all += s + "/"; printf("%s\n", all.c_str()); }
    }
}
