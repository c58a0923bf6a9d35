#include "libs/crm/sim/names.h"

#include <string_view>

#include <fmt/format.h>

namespace dealstream::crm::simkit {
namespace {

constexpr std::string_view kMaleLast[] = {"Иванов",   "Смирнов", "Кузнецов", "Лукин",   "Ветров",
                                          "Ёлкин",    "Соколов", "Хабиров",  "Щукин",   "Орлов",
                                          "Абрамян",  "Зуев",    "Медведев", "Тихонов", "Цой",
                                          "Петренко", "Гусев",   "Фомин",    "Яшин",    "Бородин"};
constexpr std::string_view kFemaleLast[] = {"Иванова",
                                            "Смирнова",
                                            "Кузнецова",
                                            "Лукина",
                                            "Ветрова",
                                            "Ёлкина",
                                            "Соколова",
                                            "Хабирова",
                                            "Щукина",
                                            "Орлова",
                                            "Абрамян",
                                            "Зуева",
                                            "Медведева",
                                            "Тихонова",
                                            "Цой",
                                            "Петренко"};
constexpr std::string_view kMaleFirst[] = {
    "Александр", "Егор", "Пётр", "Сергей", "Артём", "Илья", "Тимур", "Никита", "Семён", "Олег"};
constexpr std::string_view kFemaleFirst[] = {
    "Анна", "Дарина", "Вера", "Ольга", "Алёна", "Юлия", "Зарина", "Мария", "Софья", "Любовь"};
constexpr std::string_view kMaleMiddle[] = {
    "Петрович", "Игоревич", "Сергеевич", "Ильич", "Артёмович", "Олегович", "Рашидович"};
constexpr std::string_view kFemaleMiddle[] = {
    "Петровна", "Игоревна", "Сергеевна", "Ильинична", "Артёмовна", "Олеговна", "Рашидовна"};
constexpr std::string_view kForms[] = {"ООО", "АО", "ООО", "ПАО", "ТОО"};
constexpr std::string_view kCompanies[] = {"Ромашка Опт",
                                           "Северный ветер",
                                           "ТехноСнаб",
                                           "Уют & Дом",
                                           "Альфа-Маркет",
                                           "Вектор-М",
                                           "Чай\"ная лавка",
                                           "Ёж и К°",
                                           "Стройбаза №1",
                                           "Лесной двор",
                                           "Быстрый курьер",
                                           "Меридиан"};
constexpr std::string_view kThings[] = {"Чайник эмалированный",
                                        "Кружка керамическая",
                                        "Лампа настольная",
                                        "Стеллаж металлический",
                                        "Кабель ВВГнг 3×2,5",
                                        "Кофе в зёрнах",
                                        "Бумага А4",
                                        "Саморез 3,5×35",
                                        "Плед шерстяной",
                                        "Сковорода чугунная"};
constexpr std::string_view kSizes[] = {"2 л", "350 мл", "белый", "1 кг", "", "\"Эконом\"", "100 м"};
constexpr std::string_view kStreets[] = {
    "ул. Лесная", "пр-т Мира", "ул. 8 Марта", "наб. Фонтанки", "Ленинградское ш."};
constexpr std::string_view kCities[] = {
    "Москва", "Санкт-Петербург", "Казань", "Екатеринбург", "Новосибирск", "Орёл"};
constexpr std::string_view kRemarks[] = {"Позвонить за час до доставки",
                                         "Клиент просил скидку 5%",
                                         "Самовывоз, паспорт не нужен",
                                         "Срочно!!!\nОплата по безналу",
                                         "Домофон не работает — звонить",
                                         "см. переписку 😊",
                                         "Возможен возврат"};

}  // namespace

std::string PersonName::Short() const {
  // The first letter of a Russian name is two bytes.
  return fmt::format("{} {}. {}.", last, first.substr(0, 2), middle.substr(0, 2));
}

PersonName MakePerson(Random& random) {
  PersonName name;
  const bool male = random.Chance(0.5);
  name.last = male ? random.Of(kMaleLast) : random.Of(kFemaleLast);
  name.first = male ? random.Of(kMaleFirst) : random.Of(kFemaleFirst);
  name.middle = male ? random.Of(kMaleMiddle) : random.Of(kFemaleMiddle);
  return name;
}

std::string MakeCompany(Random& random) {
  return fmt::format("{} «{}»", random.Of(kForms), random.Of(kCompanies));
}

std::string MakeMobile(Random& random) {
  return fmt::format("+79{:09}", random.Below(1'000'000'000));
}

std::string MakePhone(Random& random) {
  const auto a = random.Below(100);
  const auto b = random.Below(1000);
  const auto c = random.Below(100);
  const auto d = random.Below(100);
  switch (random.Below(11)) {
    case 0:
      return fmt::format("8 9{:02} {:03}-{:02}-{:02}", a, b, c, d);
    case 1:
      return fmt::format("+7 (9{:02}) {:03} {:02} {:02}", a, b, c, d);
    case 2:
      return fmt::format("9{:02}{:03}{:02}{:02}", a, b, c, d);
    case 3:
      return fmt::format("8(495){:03}-{:02}-{:02} доб. {}", b, c, d, random.Between(10, 999));
    case 4:
      return fmt::format("+79{:02}{:03}{:02}{:02}, 8 812 {:03}{:02}{:02}", a, b, c, d, b, d, c);
    case 5:
      return fmt::format("{:03}-{:02}-{:02}", 100 + b % 900, c, d);
    case 6:
      return fmt::format(
          "79{:02}{:03}{:02}{:02}; 89{:02}{:03}{:02}{:02} (Вера)", a, b, c, d, d, b, a, c);
    case 7:
      return random.Chance(0.5) ? "нет телефона" : "+44 20 7946 0958";
    default:
      return MakeMobile(random);
  }
}

std::string MakeEmail(Random& random) {
  constexpr std::string_view kUsers[] = {"e.lukin", "Info", "zakaz", "vera", "sklad+crm", "BUH"};
  constexpr std::string_view kHosts[] = {"example.ru", "mail.example", "Example.COM"};
  return fmt::format("{}{}@{}", random.Of(kUsers), random.Below(1000), random.Of(kHosts));
}

std::string MakeProduct(Random& random) {
  const std::string_view size = random.Of(kSizes);
  return size.empty() ? std::string(random.Of(kThings))
                      : fmt::format("{} {}", random.Of(kThings), size);
}

std::string MakeAddress(Random& random) {
  return fmt::format("{}, {}, д. {}, кв. {}",
                     random.Of(kCities),
                     random.Of(kStreets),
                     random.Between(1, 120),
                     random.Between(1, 300));
}

std::string MakeRemark(Random& random) { return std::string(random.Of(kRemarks)); }

}  // namespace dealstream::crm::simkit
