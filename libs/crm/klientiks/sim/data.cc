#include "libs/crm/klientiks/sim/data.h"

#include <algorithm>

#include <fmt/format.h>

namespace dealstream::crm::klientiks::sim {

std::string Client::Name() const {
  std::string name;
  for (const std::string& part : {last, first, middle}) {
    if (!part.empty()) {
      name += (name.empty() ? "" : " ") + part;
    }
  }
  return name;
}

const std::vector<StatusName>& Statuses() {
  static const std::vector<StatusName> statuses = {
      {"scheduled", "Запланирован", "OPEN"},
      {"sms_confirmation_sent", "Отправлено SMS-подтверждение", "OPEN"},
      {"confirmed", "Подтверждён", "OPEN"},
      {"in_progress", "В процессе", "OPEN"},
      {"finished", "Завершён", "WON"},
      {"cancelled", "Отменён", "LOST"},
      {"cancelled_by_sms", "Отменён по SMS", "LOST"},
      {"missed", "Пропущен", "LOST"},
  };
  return statuses;
}

const StatusName* FindStatusName(const std::string& text) {
  const auto& statuses = Statuses();
  const auto found = std::find_if(statuses.begin(), statuses.end(), [&](const StatusName& status) {
    return status.value == text || status.label == text;
  });
  return found == statuses.end() ? nullptr : &*found;
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%E6S", time, absl::FixedTimeZone(3 * 3600));
}

std::string MoneyText(int64_t hundredths) {
  return hundredths % 100 == 0 ? fmt::format("{}", hundredths / 100)
                               : fmt::format("{}.{:02}", hundredths / 100, hundredths % 100);
}

}  // namespace dealstream::crm::klientiks::sim
