// What programs take from the C++ library. Its output is that of g++ 12: g++ -x c++ -std=c++17 containers.cu
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>
#include <stdio.h>

struct Item { int key; char tag; };

int main(int argc, char** argv) {
    std::map<std::string, int> counts = {{"zero", 0}};
    std::unordered_map<std::string, int> table;
    for (const char* w : {"the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"}) table[w] = ++counts[w];
    for (const auto& [word, n] : counts) printf("%s%d ", word.c_str(), n);
    counts.erase("the");
    printf("%zu%zu%s%s\n", counts.size(), counts.count("fox"), counts.lower_bound("g")->first.c_str(), counts.rbegin()->first.c_str());
    for (int i = 0; i < 9; i++) table[std::to_string(i * i)] = i;
    table.erase("4");
    table.erase("fox");
    for (const auto& p : table) printf("%s ", p.first.c_str());
    printf("%zu\n", table.bucket_count());
    std::vector<Item> items;
    for (int i = 0; i < 60; i++) items.push_back({i * 7 % 5, (char)('a' + i % 26)});
    std::sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.key < b.key; });  // equals in the same order
    for (const Item& i : items) printf("%c", i.tag);
    std::function<int(int)> twice = [&](int x) { return 2 * x + argc; };
    auto shared = std::make_shared<int>(5);
    std::weak_ptr<int> weak = shared;
    { auto second = shared; printf(" %ld", second.use_count()); }
    shared.reset();
    printf(" %d%d\n", twice(4), weak.expired());
}
