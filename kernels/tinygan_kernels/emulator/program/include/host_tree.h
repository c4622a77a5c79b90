// The tree behind std::map and std::set: a treap (Seidel and Aragon 1996), whose nodes never move. Iterators walk along the parents.
#pragma once
#include <host_constexpr.h>
#include <initializer_list>
#include <iterator>
#include <utility>
namespace std {
template <class V> struct host_tree_node {
    host_tree_node *left = nullptr, *right = nullptr, *up = nullptr;
    unsigned priority = 0;
    V value;
    template <class... A> explicit host_tree_node(A&&... a) : value(cuda::std::forward<A>(a)...) {}
    host_tree_node* first() { host_tree_node* n = this; while (n->left) n = n->left; return n; }
    host_tree_node* last() { host_tree_node* n = this; while (n->right) n = n->right; return n; }
    host_tree_node* next() {
        if (right) return right->first();
        host_tree_node *n = this, *p = up;
        while (p && p->right == n) { n = p; p = p->up; }
        return p;
    }
    host_tree_node* previous() {
        if (left) return left->last();
        host_tree_node *n = this, *p = up;
        while (p && p->left == n) { n = p; p = p->up; }
        return p;
    }
};
template <class V, class R> struct host_tree_iterator {  // R: V or const V
    typedef V value_type;
    typedef R& reference;
    typedef R* pointer;
    typedef ptrdiff_t difference_type;
    typedef cuda::std::bidirectional_iterator_tag iterator_category;
    host_tree_node<V>* node = nullptr;
    host_tree_node<V>* const* root = nullptr;  // of the tree, for what comes before its end
    host_tree_iterator() {}
    host_tree_iterator(host_tree_node<V>* n, host_tree_node<V>* const* r) : node(n), root(r) {}
    operator host_tree_iterator<V, const V>() const { return {node, root}; }
    R& operator*() const { return node->value; }
    R* operator->() const { return &node->value; }
    host_tree_iterator& operator++() { node = node->next(); return *this; }
    host_tree_iterator& operator--() { node = node ? node->previous() : *root ? (*root)->last() : nullptr; return *this; }
    host_tree_iterator operator++(int) { host_tree_iterator before = *this; ++*this; return before; }
    host_tree_iterator operator--(int) { host_tree_iterator before = *this; --*this; return before; }
};
template <class V, class A, class B> bool operator==(const host_tree_iterator<V, A>& a, const host_tree_iterator<V, B>& b) { return a.node == b.node; }
template <class V, class A, class B> bool operator!=(const host_tree_iterator<V, A>& a, const host_tree_iterator<V, B>& b) { return a.node != b.node; }

// V: what a node holds; K: the key in it, as `Key::of(value)` gives it; C: the order of keys; Many: whether keys may be equal
template <class V, class K, class Key, class C, bool Many, class R> class host_tree {
    typedef host_tree_node<V> node;
    node* root_ = nullptr;
    size_t size_ = 0;
    unsigned random_ = 2463534242u;  // G. Marsaglia, "Xorshift RNGs", 2003

protected:
    C less_;

private:
    void replace_child(node* parent, node* before, node* after) {
        if (after) after->up = parent;
        if (!parent) root_ = after;
        else if (parent->left == before) parent->left = after;
        else parent->right = after;
    }
    void raise(node* n) {  // above its parent
        node *p = n->up, *above = p->up;
        if (p->left == n) {
            p->left = n->right;
            if (n->right) n->right->up = p;
            n->right = p;
        } else {
            p->right = n->left;
            if (n->left) n->left->up = p;
            n->left = p;
        }
        p->up = n;
        n->up = above;
        if (!above) root_ = n;
        else if (above->left == p) above->left = n;
        else above->right = n;
    }
    static void destroy(node* n) {
        while (n) {
            node* next = n->left;
            destroy(n->right);
            delete n;
            n = next;
        }
    }

public:
    typedef K key_type;
    typedef V value_type;
    typedef C key_compare;
    typedef size_t size_type;
    typedef ptrdiff_t difference_type;
    typedef V& reference;
    typedef const V& const_reference;
    typedef host_tree_iterator<V, R> iterator;
    typedef host_tree_iterator<V, const V> const_iterator;
    typedef cuda::std::reverse_iterator<iterator> reverse_iterator;
    typedef cuda::std::reverse_iterator<const_iterator> const_reverse_iterator;

    HOST_CONSTEXPR host_tree() {}
    explicit host_tree(const C& less) : less_(less) {}
    host_tree(const host_tree& other) : less_(other.less_) { for (const V& v : other) insert(v); }
    host_tree(host_tree&& other) { swap(other); }
    ~host_tree() { destroy(root_); }
    host_tree& operator=(const host_tree& other) {
        if (this != &other) {
            clear();
            less_ = other.less_;
            for (const V& v : other) insert(v);
        }
        return *this;
    }
    host_tree& operator=(host_tree&& other) {
        if (this == &other) return *this;
        clear();
        swap(other);
        return *this;
    }
    void swap(host_tree& other) {
        cuda::std::swap(root_, other.root_);
        cuda::std::swap(size_, other.size_);
        cuda::std::swap(random_, other.random_);
        cuda::std::swap(less_, other.less_);
    }
    void clear() { destroy(root_); root_ = nullptr; size_ = 0; }
    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    iterator begin() { return {root_ ? root_->first() : nullptr, &root_}; }
    iterator end() { return {nullptr, &root_}; }
    const_iterator begin() const { return {root_ ? root_->first() : nullptr, &root_}; }
    const_iterator end() const { return {nullptr, &root_}; }
    const_iterator cbegin() const { return begin(); }
    const_iterator cend() const { return end(); }
    reverse_iterator rbegin() { return reverse_iterator(end()); }
    reverse_iterator rend() { return reverse_iterator(begin()); }
    const_reverse_iterator rbegin() const { return const_reverse_iterator(end()); }
    const_reverse_iterator rend() const { return const_reverse_iterator(begin()); }
    key_compare key_comp() const { return less_; }

protected:
    node* not_less(const K& key) const {  // the first node that is not less than the key
        node *n = root_, *found = nullptr;
        while (n) {
            if (less_(Key::of(n->value), key)) n = n->right;
            else { found = n; n = n->left; }
        }
        return found;
    }
    node* greater(const K& key) const {
        node *n = root_, *found = nullptr;
        while (n) {
            if (less_(key, Key::of(n->value))) { found = n; n = n->left; }
            else n = n->right;
        }
        return found;
    }
    node* with(const K& key) const {
        node* n = not_less(key);
        return n && !less_(key, Key::of(n->value)) ? n : nullptr;
    }
    cuda::std::pair<iterator, bool> put(node* fresh) {  // or delete it, where its key is there already
        node *p = nullptr, *n = root_;
        bool left = false;
        const K& key = Key::of(fresh->value);
        while (n) {
            p = n;
            left = less_(key, Key::of(n->value));
            if (!Many && !left && !less_(Key::of(n->value), key)) {
                delete fresh;
                return {iterator(n, &root_), false};
            }
            n = left ? n->left : n->right;
        }
        random_ ^= random_ << 13; random_ ^= random_ >> 17; random_ ^= random_ << 5;
        fresh->priority = random_;
        fresh->up = p;
        if (!p) root_ = fresh;
        else if (left) p->left = fresh;
        else p->right = fresh;
        while (fresh->up && fresh->up->priority < fresh->priority) raise(fresh);
        size_++;
        return {iterator(fresh, &root_), true};
    }

public:
    cuda::std::conditional_t<Many, iterator, cuda::std::pair<iterator, bool>> insert(const V& v) { return answer(put(new node(v))); }
    cuda::std::conditional_t<Many, iterator, cuda::std::pair<iterator, bool>> insert(V&& v) { return answer(put(new node(cuda::std::move(v)))); }
    iterator insert(const_iterator, const V& v) { return put(new node(v)).first; }
    template <class I, class = decltype(*cuda::std::declval<I&>())> void insert(I first, I last) { for (; first != last; ++first) insert(V(*first)); }
    void insert(std::initializer_list<V> items) { for (const V& v : items) insert(v); }
    template <class... A> cuda::std::conditional_t<Many, iterator, cuda::std::pair<iterator, bool>> emplace(A&&... a) {
        return answer(put(new node(cuda::std::forward<A>(a)...)));
    }
    template <class... A> iterator emplace_hint(const_iterator, A&&... a) { return put(new node(cuda::std::forward<A>(a)...)).first; }
    iterator erase(const_iterator at) {
        node *n = at.node, *next = n->next();
        while (n->left && n->right) raise(n->left->priority > n->right->priority ? n->left : n->right);
        replace_child(n->up, n, n->left ? n->left : n->right);
        delete n;
        size_--;
        return {next, &root_};
    }
    iterator erase(const_iterator from, const_iterator to) {
        while (from != to) from = erase(from);
        return {to.node, &root_};
    }
    size_t erase(const K& key) {
        size_t n = 0;
        for (node* at = not_less(key); at && !less_(key, Key::of(at->value)); n++) at = erase(const_iterator(at, &root_)).node;
        return n;
    }
    iterator find(const K& key) { return {first_with(key), &root_}; }
    const_iterator find(const K& key) const { return {first_with(key), &root_}; }
    size_t count(const K& key) const {
        size_t n = 0;
        for (node* at = not_less(key); at && !less_(key, Key::of(at->value)); at = at->next()) n++;
        return n;
    }
    bool contains(const K& key) const { return with(key) != nullptr; }
    iterator lower_bound(const K& key) { return {not_less(key), &root_}; }
    const_iterator lower_bound(const K& key) const { return {not_less(key), &root_}; }
    iterator upper_bound(const K& key) { return {greater(key), &root_}; }
    const_iterator upper_bound(const K& key) const { return {greater(key), &root_}; }
    cuda::std::pair<iterator, iterator> equal_range(const K& key) { return {lower_bound(key), upper_bound(key)}; }

private:
    node* first_with(const K& key) const { return with(key); }
    static auto answer(const cuda::std::pair<iterator, bool>& made) {
        if constexpr (Many) return made.first;
        else return made;
    }
};
template <class V, class K, class Key, class C, bool Many, class R>
bool operator==(const host_tree<V, K, Key, C, Many, R>& a, const host_tree<V, K, Key, C, Many, R>& b) {
    if (a.size() != b.size()) return false;
    for (auto i = a.begin(), j = b.begin(); i != a.end(); ++i, ++j) if (!(*i == *j)) return false;
    return true;
}
template <class V, class K, class Key, class C, bool Many, class R>
bool operator!=(const host_tree<V, K, Key, C, Many, R>& a, const host_tree<V, K, Key, C, Many, R>& b) { return !(a == b); }
template <class K, class T> struct host_first {
    static const K& of(const cuda::std::pair<const K, T>& v) { return v.first; }
    static const K& of(const K& v) { return v; }
};
struct host_itself {
    template <class K> static const K& of(const K& v) { return v; }
};
}  // namespace std
